"""Tests of the order in which queued jobs are dispatched and of the position shown for a waiting job."""

from __future__ import annotations

from collections import Counter

import pytest

from services.jobs.scheduling import next_in_turn, place_in_line
from services.records import JobStatus, Line, Ticket
from services.store.queues import Counts, Head
from tests.unit.made import made_job


def order(jobs: list[tuple[str, int]], load: dict[str, int]) -> list[tuple[str, int]]:
    """Return maker and number of each job in the order in which the scheduler dispatches them."""
    lines: dict[str, list[int]] = {}
    for user, number in sorted(jobs, key=lambda job: job[1]):
        lines.setdefault(user, []).append(number)
    loads, taken = Counter(load), []
    while lines:
        heads = {
            user: Head(user_id=user, endpoint="e", line=Line.READY, job_id=f"{line[0]:026d}", joins=1)
            for user, line in lines.items()
        }
        user = next_in_turn(heads, loads).user_id
        taken.append((user, lines[user].pop(0)))
        loads[user] += 1
        if not lines[user]:
            del lines[user]
    return taken


def makers(taken: list[tuple[str, int]]) -> str:
    return "".join(user for user, _ in taken)


def test_users_with_equal_load_take_turns_starting_with_the_oldest_job() -> None:
    jobs = [("a", 1), ("a", 2), ("a", 3), ("b", 4), ("b", 5), ("c", 6)]
    assert makers(order(jobs, {})) == "abcaba"


def test_the_user_with_fewer_running_jobs_comes_first() -> None:
    jobs = [("a", 1), ("a", 2), ("b", 3)]
    assert makers(order(jobs, {"a": 3})) == "baa"
    assert makers(order(jobs, {"a": 1, "b": 2})) == "aab"


def test_the_jobs_of_one_user_keep_their_order() -> None:
    assert [number for _, number in order([("a", 3), ("a", 1), ("a", 2)], {})] == [1, 2, 3]


def test_an_empty_queue_gives_an_empty_order() -> None:
    assert order([], {"a": 1}) == []


@pytest.mark.parametrize(
    ("waited", "left_then", "waiting", "left_now", "place"),
    [
        (150, 0, 151, 0, 160),  # 151st, rounded up
        (150, 0, 120, 31, 120),  # 31 have left since
        (5000, 900, 4000, 1500, 4000),  # at most the total number of waiting jobs
        (5000, 900, 9000, 1500, 4500),
        (20, 0, 900, 0, 110),  # not among the first hundred, despite the numbers on its ticket
        (150, 0, 130, 149, 110),
    ],
)
def test_a_position_beyond_one_hundred_is_rounded(
    waited: int, left_then: int, waiting: int, left_now: int, place: int
) -> None:
    job = made_job(status=JobStatus.QUEUED, attempt=0).model_copy(
        update={"ticket": Ticket(waiting=waited, left=left_then)}
    )
    first = {f"{n:026d}": n + 1 for n in range(100)}
    assert place_in_line(job, first, Counts(waiting=waiting, left=left_now)) == place


def test_a_position_up_to_one_hundred_is_exact() -> None:
    job = made_job(status=JobStatus.QUEUED, attempt=0)
    assert place_in_line(job, {"x": 1, job.id: 2}, Counts(waiting=2)) == 2
    # The index lags behind: the job is placed after all jobs in it.
    assert place_in_line(job, {"x": 1, "y": 2}, Counts(waiting=3)) == 3
