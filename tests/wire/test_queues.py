"""Tests of the endpoints' queues: separate windows, consistent with the jobs, at a cost independent of the backlog."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from bench.reads import Reads
from services.backends import endpoint_status
from services.build import Studio, build
from services.jobs.scheduling import Scheduler
from services.records import Job, JobRequest, JobStatus, Line, User, When
from services.settings import Settings
from services.store import keys
from services.store.jobs import JobStore, LineMoved
from services.store.queues import Counts, QueueStore
from services.worker import Worker
from tests.endpoint import ScriptedEndpoint
from tests.wire.conftest import real_clients

APPLE = JobRequest(prompt="a red apple", seed=7)
TURBO = APPLE.model_copy(update={"model": "sd-turbo"})
WARM = APPLE.model_copy(update={"when": When.WARM, "within_s": 3600})
WINDOW = 4


@pytest.fixture
def two(settings: Settings, endpoint: ScriptedEndpoint) -> Iterator[Studio]:
    """A studio with two models, each on its own endpoint."""
    yield from _studio(settings, endpoint, {"pocket": "slow", "sd-turbo": "fast"})


@pytest.fixture
def shared(settings: Settings, endpoint: ScriptedEndpoint) -> Iterator[Studio]:
    """A studio with two models on one endpoint."""
    yield from _studio(settings, endpoint, {"pocket": "one", "sd-turbo": "one"})


def _studio(settings: Settings, endpoint: ScriptedEndpoint, endpoints: dict[str, str]) -> Iterator[Studio]:
    clients = replace(real_clients(settings), sagemaker=endpoint, sagemaker_runtime=endpoint)
    studio = build(settings.model_copy(update={"endpoints": endpoints}), clients)
    yield studio
    studio.close()


@pytest.fixture
def queues(studio: Studio) -> QueueStore:
    return QueueStore(studio.sweeper._store._table)


@pytest.fixture
def worker(studio: Studio) -> Worker:
    return Worker(studio, studio.results_queue, studio.metrics)


def person(number: int) -> User:
    return User(id=f"{number:032x}", email=f"{number}@example.com")


def test_a_full_endpoint_does_not_delay_jobs_of_another(two: Studio, maker: User) -> None:
    slow = [two.jobs.submit(maker, APPLE) for _ in range(WINDOW + 3)]
    assert [job.status.value for job in slow] == ["starting"] * WINDOW + ["queued"] * 3
    fast = [two.jobs.submit(maker, TURBO) for _ in range(WINDOW + 1)]
    assert [job.status.value for job in fast] == ["starting"] * WINDOW + ["queued"]
    # Queue positions count per endpoint.
    assert two.live.watch(maker, slow[-1].id).queue_position == 3
    assert two.live.watch(maker, fast[-1].id).queue_position == 1
    assert two.sweeper.sweep().backlog == {"slow": 3, "fast": 1}


def test_a_free_endpoint_takes_the_next_job_of_its_own_queue(
    two: Studio, endpoint: ScriptedEndpoint, maker: User, other: User
) -> None:
    slow = [two.jobs.submit(maker, APPLE) for _ in range(WINDOW + 1)]
    fast = [two.jobs.submit(other, TURBO) for _ in range(WINDOW + 1)]
    two.jobs.cancel(other, fast[0].id)
    assert two.jobs.get(other, fast[-1].id).status is JobStatus.STARTING
    assert two.jobs.get(maker, slow[-1].id).status is JobStatus.QUEUED


def test_fairness_counts_only_the_makers_jobs_at_that_endpoint(
    two: Studio, endpoint: ScriptedEndpoint, maker: User, other: User
) -> None:
    for _ in range(WINDOW):
        two.jobs.submit(other, TURBO)
    running = [two.jobs.submit(maker, APPLE) for _ in range(WINDOW)]
    second = two.jobs.submit(maker, APPLE)
    third = two.jobs.submit(other, APPLE)
    two.jobs.cancel(maker, running[0].id)
    assert two.jobs.get(other, third.id).status is JobStatus.STARTING
    assert two.jobs.get(maker, second.id).status is JobStatus.QUEUED


def test_two_models_of_one_endpoint_share_its_window(shared: Studio, maker: User) -> None:
    jobs = [shared.jobs.submit(maker, request) for request in (APPLE, TURBO) * 3]
    assert [job.status.value for job in jobs] == ["starting"] * WINDOW + ["queued"] * 2


def test_users_beyond_the_first_page_of_the_queue_get_their_turn(
    studio: Studio, endpoint: ScriptedEndpoint
) -> None:
    """More users wait than one read returns; each gets a turn before any gets a second one."""
    for number in range(WINDOW):
        studio.jobs.submit(person(number), APPLE)
    for _ in range(2):
        for number in range(3 * WINDOW):
            studio.jobs.submit(person(number), APPLE)
    worker = Worker(studio, studio.results_queue, studio.metrics)
    done = 0
    while done < len(endpoint.accepted):
        worker.handle(endpoint.complete(endpoint.accepted[done]))
        done += 1
    turns = [taken.inference_id[:32] for taken in endpoint.accepted]
    assert len(turns) == WINDOW + 6 * WINDOW
    # The user with the fewest running jobs is next, so all get one turn before any gets a second one.
    first_round = turns[: 3 * WINDOW + WINDOW]
    assert Counter(first_round).most_common(1)[0][1] <= 2
    assert set(turns[: 4 * WINDOW]) == {person(n).id for n in range(3 * WINDOW)}


def test_a_canceled_job_at_the_head_of_a_queue_blocks_no_other_job(
    studio: Studio, endpoint: ScriptedEndpoint, queues: QueueStore, maker: User, other: User
) -> None:
    running = [studio.jobs.submit(maker, APPLE) for _ in range(WINDOW)]
    canceled = [studio.jobs.submit(maker, APPLE) for _ in range(3)]
    waiting = studio.jobs.submit(other, APPLE)
    for job in canceled:
        studio.jobs.cancel(maker, job.id)
    assert len(queues.heads(running[0].endpoint, Line.READY, limit=10)) == 2
    studio.jobs.cancel(maker, running[0].id)
    assert studio.jobs.get(other, waiting.id).status is JobStatus.STARTING
    studio.jobs.cancel(maker, running[1].id)
    # The dispatch found no job behind the head and removed it.
    studio.sweeper.dispatch()
    late = studio.jobs.submit(maker, APPLE)
    assert late.status is JobStatus.STARTING


def test_a_job_submitted_while_the_last_waiting_one_is_claimed_is_not_lost(
    studio: Studio, endpoint: ScriptedEndpoint, queues: QueueStore, maker: User, monkeypatch: Any
) -> None:
    """Another job of the user joins the queue during the claim of the only waiting one."""
    running = [studio.jobs.submit(maker, APPLE) for _ in range(WINDOW)]
    last = studio.jobs.submit(maker, APPLE)
    claim, moved = JobStore.claim, []

    def interrupted(self: JobStore, job: Job, **how: Any) -> Job | None:
        while not moved:
            # The first one takes the slot of the canceled job.
            if (late := studio.jobs.submit(maker, APPLE)).status is JobStatus.QUEUED:
                moved.append(late)
        try:
            return claim(self, job, **how)
        except LineMoved:
            moved.append(job)
            raise

    monkeypatch.setattr(JobStore, "claim", interrupted)
    studio.jobs.cancel(maker, running[0].id)
    assert [job.id for job in moved[1:]] == [last.id]
    assert studio.jobs.get(maker, last.id).status is JobStatus.STARTING
    studio.jobs.cancel(maker, running[1].id)
    studio.jobs.cancel(maker, running[2].id)
    assert studio.jobs.get(maker, moved[0].id).status is JobStatus.STARTING


def test_a_queue_entry_without_a_job_is_removed_and_the_next_one_taken(
    studio: Studio, endpoint: ScriptedEndpoint, queues: QueueStore, maker: User
) -> None:
    running = [studio.jobs.submit(maker, APPLE) for _ in range(WINDOW)]
    lost, kept = studio.jobs.submit(maker, APPLE), studio.jobs.submit(maker, APPLE)
    studio.sweeper._store._table.delete(keys.user_pk(maker.id), keys.job_sk(lost.id))
    studio.jobs.cancel(maker, running[0].id)
    assert studio.jobs.get(maker, kept.id).status is JobStatus.STARTING
    [counts] = queues.counts().values()
    assert (counts.waiting, counts.running) == (0, WINDOW)


def test_a_waiting_job_from_before_version_0_2_is_queued(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User, cloud: Any
) -> None:
    running = [studio.jobs.submit(maker, APPLE) for _ in range(WINDOW)]
    old = _as_before_0_2(studio, cloud, studio.jobs.submit(maker, APPLE))
    assert studio.jobs.get(maker, old.id).line is None
    report = studio.sweeper.sweep()
    assert (report.waiting, report.expired) == (1, 0)
    assert studio.live.watch(maker, old.id).queue_position == 1
    studio.jobs.cancel(maker, running[0].id)
    assert studio.jobs.get(maker, old.id).status is JobStatus.STARTING


def test_a_running_job_from_before_version_0_2_ends_without_being_counted(
    studio: Studio, endpoint: ScriptedEndpoint, queues: QueueStore, worker: Worker, maker: User, cloud: Any
) -> None:
    handed_back, done = (_as_before_0_2(studio, cloud, studio.jobs.submit(maker, APPLE)) for _ in range(2))
    worker.handle(endpoint.complete(endpoint.accepted[1]))
    assert studio.jobs.get(maker, done.id).status is JobStatus.SUCCEEDED
    worker.handle(endpoint.fail(endpoint.accepted[0], "shutting_down"))
    studio.sweeper.sweep()
    assert studio.jobs.get(maker, handed_back.id).status is JobStatus.STARTING
    [counts] = queues.counts().values()
    assert (counts.waiting, counts.running) == (0, 1)


def _as_before_0_2(studio: Studio, cloud: Any, job: Job) -> Job:
    """Stores the job like a studio before 0.2: indexed by its creation, without queue entries and counts."""
    before = {None: None, Line.READY: "waiting", Line.RUNNING: "running"}[job.line]
    table = studio.sweeper._store._table
    if job.line is Line.READY:
        table.delete(keys.user_pk(job.user_id), keys.entry_sk(job.endpoint, job.line, job.id))
        table.delete(keys.user_pk(job.user_id), keys.head_sk(job.endpoint, job.line))
    for shard in range(8):
        item = table.get(keys.QUEUES, f"{job.endpoint}#{shard}")
        if before and item and item.get(before, 0) > 0:
            table.put(item | {before: item[before] - 1})
            break
    cloud.client("dynamodb").update_item(
        TableName=studio.settings.table,
        Key={"PK": {"S": keys.user_pk(job.user_id)}, "SK": {"S": keys.job_sk(job.id)}},
        UpdateExpression="SET GSI1SK = :due REMOVE line, endpoint, ticket",
        ExpressionAttributeValues={":due": {"S": f"2000-01-01T00:00:00.000#{job.id}"}},
    )
    return job


@pytest.mark.parametrize("seed", range(4))
def test_after_random_operations_the_counters_and_queues_match_the_jobs(
    seed: int,
    studio: Studio,
    endpoint: ScriptedEndpoint,
    queues: QueueStore,
    worker: Worker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(endpoint_status, "FRESH_S", 0.0)
    chance = random.Random(seed)
    people = [person(n) for n in range(3)]
    jobs: list[Job] = []
    told: set[str] = set()

    def submit() -> None:
        endpoint.instances = chance.choice((0, 1))
        jobs.append(studio.jobs.submit(chance.choice(people), chance.choice((APPLE, APPLE, WARM))))

    def cancel() -> None:
        job = chance.choice(jobs)
        if not studio.jobs.get(_owner(people, job), job.id).status.terminal:
            studio.jobs.cancel(_owner(people, job), job.id)

    def run_now() -> None:
        job = chance.choice(jobs)
        if not studio.jobs.get(_owner(people, job), job.id).status.terminal:
            studio.jobs.run_now(_owner(people, job), job.id)

    def end() -> None:
        left = [taken for taken in endpoint.accepted if taken.inference_id not in told]
        if left:
            taken = chance.choice(left)
            told.add(taken.inference_id)
            how = chance.choice(("complete", "complete", "fail", "shutting_down"))
            if how == "complete":
                worker.handle(endpoint.complete(taken))
            else:
                worker.handle(endpoint.fail(taken, "model_error" if how == "fail" else how))

    submit()
    for _ in range(60):
        chance.choice((submit, submit, cancel, run_now, end, end, lambda: studio.sweeper.sweep()))()
    _agrees(studio, queues, people, jobs)


def test_after_concurrent_submits_and_cancels_the_counters_and_queues_match_the_jobs(
    studio: Studio, endpoint: ScriptedEndpoint, queues: QueueStore
) -> None:
    people = [person(n) for n in range(8)]
    with ThreadPoolExecutor(8) as pool:
        jobs = list(pool.map(lambda n: studio.jobs.submit(people[n % 8], APPLE), range(40)))
        list(pool.map(lambda job: studio.jobs.cancel(_owner(people, job), job.id), jobs[::3]))
    _agrees(studio, queues, people, jobs)


def _owner(people: list[User], job: Job) -> User:
    return next(user for user in people if user.id == job.user_id)


def _agrees(studio: Studio, queues: QueueStore, people: list[User], jobs: list[Job]) -> None:
    now_ = [studio.jobs.get(_owner(people, job), job.id) for job in jobs]
    lines = Counter(job.line for job in now_)
    [(endpoint, counts)] = queues.counts().items()
    assert (counts.waiting, counts.held, counts.running) == (
        lines[Line.READY],
        lines[Line.HELD],
        lines[Line.RUNNING],
    )
    for job in now_:
        assert (job.line is None) == job.status.terminal
        assert (job.line is Line.RUNNING) == (job.status is JobStatus.STARTING)
    for line in (Line.READY, Line.HELD):
        heads = {head.user_id: head for head in queues.heads(endpoint, line, limit=100)}
        for user in people:
            entries = queues.first(user.id, endpoint, line, limit=100)
            assert entries == sorted(job.id for job in now_ if job.line is line and job.user_id == user.id)
            # A user with waiting jobs needs a head, or would never get a turn.
            assert not entries or user.id in heads
    assert set(queues.places(endpoint)) == {job.id for job in now_ if job.line is Line.READY}
    for user in people:
        mine = {job.id for job in now_ if job.user_id == user.id and not job.status.terminal}
        assert {job.id for job in studio.jobs.open(user)} == mine


def test_the_cost_of_dispatch_is_independent_of_the_queue_length(
    studio: Studio, settings: Settings, endpoint: ScriptedEndpoint, maker: User, other: User
) -> None:
    """Chooses the next job and reads position and backlog, with 12 and with 600 waiting jobs."""
    client = real_clients(settings).dynamodb
    settings_ = settings.model_copy(update={"user_open_jobs": 10_000, "user_daily_images": 10_000})
    clients = replace(real_clients(settings), sagemaker=endpoint, sagemaker_runtime=endpoint)
    large = build(settings_, clients)
    jobs = [large.jobs.submit(person(n % 6), APPLE) for n in range(WINDOW + 12)]

    def look(number: int) -> tuple[int, int]:
        scheduler: Scheduler = large.sweeper._scheduler
        with Reads(client) as counted:
            scheduler.backlog()
            scheduler.positions([jobs[-1]])
            large.jobs.cancel(_owner([person(n) for n in range(6)], jobs[number]), jobs[number].id)
        return counted.requests, counted.items

    few = look(0)
    waiting = [large.jobs.submit(person(n % 6), APPLE) for n in range(600)]
    assert all(job.status is JobStatus.QUEUED for job in waiting)
    many = look(1)
    large.close()
    assert many[0] <= few[0]
    # At most the first hundred entries are read for the positions.
    assert many[1] <= few[1] + 100


def test_a_queue_position_beyond_the_first_hundred_is_rounded(
    studio: Studio, settings: Settings, endpoint: ScriptedEndpoint
) -> None:
    large = build(
        settings.model_copy(update={"user_open_jobs": 1000, "user_daily_images": 1000}),
        replace(real_clients(settings), sagemaker=endpoint, sagemaker_runtime=endpoint),
    )
    jobs = [large.jobs.submit(person(1), APPLE) for _ in range(WINDOW + 125)]
    places = large.sweeper._scheduler.positions(jobs[WINDOW:])
    large.close()
    assert [places[job.id] for job in jobs[WINDOW : WINDOW + 100]] == list(range(1, 101))
    assert {places[job.id] for job in jobs[WINDOW + 100 :]} == {110, 120, 130}


def test_an_endpoint_without_jobs_has_zero_counts(two: Studio) -> None:
    assert two.sweeper._scheduler.backlog() == {"slow": Counts(), "fast": Counts()}
