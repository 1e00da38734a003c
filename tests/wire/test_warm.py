"""Tests of jobs that wait for a warm model: they cause no wake before their time and are dispatched exactly once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from services.backends import endpoint_status
from services.build import Studio, build
from services.clock import now
from services.errors import Conflict, InvalidRequest, NotFound
from services.records import Job, JobRequest, JobStatus, User, When
from services.store import keys
from services.worker import Worker
from tests.endpoint import ScriptedEndpoint
from tests.faults.lost import LostAnswers
from tests.wire.conftest import real_clients

APPLE = JobRequest(prompt="a red apple", seed=7)
WARM = APPLE.model_copy(update={"when": When.WARM, "within_s": 3600})


@pytest.fixture(autouse=True)
def asleep(endpoint: ScriptedEndpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts the model to sleep and disables the cache of its state."""
    endpoint.instances = 0
    monkeypatch.setattr(endpoint_status, "FRESH_S", 0.0)


@pytest.fixture
def worker(studio: Studio) -> Worker:
    return Worker(studio, studio.results_queue, studio.metrics)


def invoked(endpoint: ScriptedEndpoint) -> list[str]:
    return [taken.inference_id for taken in endpoint.accepted]


def set_moments(studio: Studio, cloud: Any, job: Job, **moments: Any) -> None:
    """Sets times of a job and makes it due for the sweeper."""
    values = {name: moment.isoformat() for name, moment in moments.items()}
    values["GSI1SK"] = "2000-01-01T00:00:00.000#x"
    cloud.client("dynamodb").update_item(
        TableName=studio.settings.table,
        Key={"PK": {"S": f"USER#{job.user_id}"}, "SK": {"S": f"JOB#{job.id}"}},
        UpdateExpression="SET " + ", ".join(f"#{n} = :{n}" for n in values),
        ExpressionAttributeNames={f"#{n}": n for n in values},
        ExpressionAttributeValues={f":{n}": {"S": value} for n, value in values.items()},
    )


def test_a_warm_job_waits_without_an_instance_while_the_model_sleeps(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User
) -> None:
    job = studio.jobs.submit(maker, WARM)
    assert (job.status, job.attempt) == (JobStatus.QUEUED, 0)
    assert job.run_by is not None and job.deadline_at is not None
    assert (job.run_by - job.created_at).total_seconds() == 3600
    # The deadline counts from the time when it may run.
    assert job.deadline_at - job.run_by > timedelta(seconds=studio.settings.job_ttl_s)
    assert (job.estimate.cold_start_s, job.estimate.wake_usd) == (0, 0)
    for _ in range(3):
        report = studio.sweeper.sweep()
        assert (report.waiting, report.held, report.invoked) == (0, 1, 0)
    assert endpoint.accepted == []
    assert studio.live.watch(maker, job.id).queue_position is None
    assert [each.id for each in studio.jobs.open(maker)] == [job.id]
    assert studio.ledger.usage(maker).open_jobs == 1


def test_a_warm_job_starts_at_once_if_the_model_is_awake(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User
) -> None:
    endpoint.instances = 1
    job = studio.jobs.submit(maker, WARM)
    assert job.status is JobStatus.STARTING and job.run_by is None
    assert len(endpoint.accepted) == 1


def test_a_warm_job_starts_when_the_job_that_woke_the_model_ends(
    studio: Studio, endpoint: ScriptedEndpoint, worker: Worker, maker: User, other: User
) -> None:
    patient = studio.jobs.submit(maker, WARM)
    studio.jobs.submit(other, APPLE)
    assert len(endpoint.accepted) == 1
    endpoint.instances = 1
    worker.handle(endpoint.complete(endpoint.accepted[0]))
    assert invoked(endpoint)[1:] == [keys.inference_id(maker.id, patient.id, 1)]
    worker.handle(endpoint.complete(endpoint.accepted[1]))
    assert studio.jobs.get(maker, patient.id).status is JobStatus.SUCCEEDED


def test_the_sweep_starts_warm_jobs_when_the_model_is_awake(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User
) -> None:
    studio.jobs.submit(maker, WARM)
    endpoint.instances = 1
    assert studio.sweeper.sweep().invoked == 1
    assert len(endpoint.accepted) == 1


def test_a_warm_job_runs_at_its_latest_start_even_if_the_model_sleeps(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User, cloud: Any
) -> None:
    job = studio.jobs.submit(maker, WARM)
    set_moments(studio, cloud, job, run_by=now() - timedelta(seconds=1))
    assert studio.sweeper.sweep().invoked == 1
    assert studio.jobs.get(maker, job.id).status is JobStatus.STARTING


def test_a_warm_job_past_its_deadline_expires_and_is_refunded(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User, cloud: Any
) -> None:
    job = studio.jobs.submit(maker, WARM)
    past = now() - timedelta(seconds=1)
    set_moments(studio, cloud, job, run_by=past, deadline_at=past)
    assert studio.sweeper.sweep().expired == 1
    usage = studio.ledger.usage(maker)
    assert (usage.open_jobs, usage.images_today, usage.spent_month_usd) == (0, 0, 0)
    assert endpoint.accepted == []


def test_ready_jobs_go_first_and_held_jobs_share_the_rest(
    studio: Studio, endpoint: ScriptedEndpoint, worker: Worker, maker: User, other: User
) -> None:
    patient = [studio.jobs.submit(user, WARM) for user in (maker, maker, other)]
    earnest = [studio.jobs.submit(maker, APPLE) for _ in range(6)]
    endpoint.instances = 1
    for number in range(9):
        worker.handle(endpoint.complete(endpoint.accepted[number]))
    order = [taken.rsplit("-", 2)[1] for taken in invoked(endpoint)]
    assert order[:6] == [job.id for job in earnest]
    # The other user has no running job, so that job is the first of the waiting ones, although it came last.
    assert order[6:] == [patient[2].id, patient[0].id, patient[1].id]


def test_run_now_starts_a_warm_job_and_may_be_repeated(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User, other: User
) -> None:
    job = studio.jobs.submit(maker, WARM)
    with pytest.raises(NotFound):
        studio.jobs.run_now(other, job.id)
    assert endpoint.accepted == []
    running = studio.jobs.run_now(maker, job.id)
    assert (running.status, running.run_by) == (JobStatus.STARTING, None)
    assert running.estimate.cold_start_s > 0 and running.estimate.wake_usd > 0
    assert running.estimate.at_most_usd == job.estimate.at_most_usd
    assert studio.jobs.run_now(maker, job.id).attempt == 1
    assert len(endpoint.accepted) == 1


def test_canceling_a_warm_job_costs_nothing_and_prevents_running_it(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User
) -> None:
    job = studio.jobs.submit(maker, WARM)
    studio.jobs.cancel(maker, job.id)
    with pytest.raises(Conflict):
        studio.jobs.run_now(maker, job.id)
    endpoint.instances = 1
    studio.sweeper.sweep()
    assert endpoint.accepted == []
    assert studio.ledger.usage(maker).spent_month_usd == 0


def test_concurrent_sweeps_dispatch_and_run_now_invoke_each_job_once(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User
) -> None:
    clients = replace(real_clients(studio.settings), sagemaker=endpoint, sagemaker_runtime=endpoint)
    second = build(studio.settings, clients)
    jobs = [studio.jobs.submit(maker, WARM) for _ in range(3)]
    endpoint.instances = 1
    tasks = [
        studio.sweeper.sweep,
        second.sweeper.sweep,
        studio.sweeper.dispatch,
        lambda: second.jobs.run_now(maker, jobs[0].id),
    ]
    try:
        with ThreadPoolExecutor(4) as pool:
            for done in [pool.submit(task) for task in tasks]:
                done.result()
        studio.sweeper.sweep()
    finally:
        second.close()
    assert sorted(invoked(endpoint)) == sorted(keys.inference_id(maker.id, job.id, 1) for job in jobs)


def test_a_job_claimed_by_a_killed_process_is_invoked_once_by_a_later_sweep(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User, cloud: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = studio.jobs.submit(maker, WARM)
    endpoint.instances = 1

    class Killed(BaseException):
        pass

    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as dying:
        dying.setattr("services.jobs.dispatch.Dispatcher.invoke", killed)
        with pytest.raises(Killed):
            studio.sweeper.sweep()
    assert endpoint.accepted == []
    assert studio.jobs.get(maker, job.id).attempt == 1
    cloud.client("dynamodb").update_item(
        TableName=studio.settings.table,
        Key={"PK": {"S": f"USER#{job.user_id}"}, "SK": {"S": f"JOB#{job.id}"}},
        UpdateExpression="SET GSI1SK = :due",
        ExpressionAttributeValues={":due": {"S": "2000-01-01T00:00:00.000#x"}},
    )
    studio.sweeper.sweep()
    studio.sweeper.sweep()
    assert len(endpoint.accepted) == 1


def test_a_claim_with_a_lost_answer_submits_the_job_once(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User
) -> None:
    studio.jobs.submit(maker, WARM)
    endpoint.instances = 1
    with LostAnswers(real_clients(studio.settings).dynamodb, "TransactWriteItems", times=1) as lost:
        studio.sweeper.sweep()
    studio.sweeper.sweep()
    assert lost.fired == 1
    assert len(endpoint.accepted) == 1


def test_a_warm_job_is_created_once_for_an_idempotency_key(studio: Studio, maker: User) -> None:
    first = studio.jobs.submit(maker, WARM, idempotency_key="k")
    assert studio.jobs.submit(maker, WARM, idempotency_key="k").id == first.id
    assert len(studio.jobs.list(maker).items) == 1


@pytest.mark.parametrize(
    "wrong", [{"when": When.WARM, "within_s": 59}, {"when": When.WARM, "within_s": 86401}, {"within_s": 60}]
)
def test_an_invalid_wait_is_refused_and_nothing_is_created(
    studio: Studio, maker: User, wrong: dict[str, Any]
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        studio.jobs.submit(maker, APPLE.model_copy(update=wrong))
    assert caught.value.param == "within_s"
    assert studio.jobs.list(maker).items == ()
