"""Whose turn it is."""

from __future__ import annotations

from services.jobs.scheduling import turns
from services.records import Job, JobStatus
from tests.unit.made import made_job


def job(user: str, number: int) -> Job:
    return made_job(id=f"{number:026d}", user_id=user * 32, status=JobStatus.QUEUED, attempt=0)


def order(jobs: list[Job], load: dict[str, int]) -> str:
    return "".join(job.user_id[0] for job in turns(jobs, {user * 32: n for user, n in load.items()}))


def test_equals_take_turns_the_oldest_first() -> None:
    jobs = [job("a", 1), job("a", 2), job("a", 3), job("b", 4), job("b", 5), job("c", 6)]
    assert order(jobs, {}) == "abcaba"


def test_who_has_less_running_comes_first() -> None:
    jobs = [job("a", 1), job("a", 2), job("b", 3)]
    assert order(jobs, {"a": 3}) == "baa"
    assert order(jobs, {"a": 1, "b": 2}) == "aab"


def test_a_users_own_jobs_keep_their_order() -> None:
    jobs = [job("a", 3), job("a", 1), job("a", 2)]
    assert [int(j.id) for j in turns(jobs, {})] == [1, 2, 3]


def test_nobody_waiting_is_nobodys_turn() -> None:
    assert turns([], {"a" * 32: 1}) == []
