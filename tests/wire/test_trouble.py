"""Tests that a job's failure does not affect others, that erased data stays erased, and that lost data is restored."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from services.accounts.accounts import Accounts
from services.accounts.local_users import LocalUsers
from services.aws.session import Clients
from services.aws.table import Table
from services.build import Studio, build
from services.errors import NotFound, NotSignedIn, Unavailable
from services.jobs import live as live_jobs
from services.records import JobRequest, JobStatus, Role, User
from services.settings import Settings
from services.store import keys
from services.store.api_keys import ApiKeyStore
from services.store.jobs import JobStore
from services.store.profiles import ProfileStore
from services.worker import Worker
from tests.endpoint import ScriptedEndpoint, notification
from tests.wire.conftest import real_clients
from tests.wire.test_jobs import APPLE, _keys, _make_due, _versions, money

LONG_AGO = "2000-01-01T00:00:00+00:00"


@pytest.fixture
def worker(studio: Studio) -> Worker:
    return Worker(studio, studio.results_queue, studio.metrics)


def drop(cloud: Any, studio: Studio, user: User, *sort_keys: str) -> None:
    """Deletes records, like a crash between two snapshots."""
    for sk in sort_keys:
        cloud.client("dynamodb").delete_item(
            TableName=studio.settings.table, Key={"PK": {"S": f"USER#{user.id}"}, "SK": {"S": sk}}
        )


def test_an_answer_too_large_to_read_fails_its_job(
    studio: Studio,
    endpoint: ScriptedEndpoint,
    worker: Worker,
    maker: User,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("services.backends.sagemaker_async.MAX_ANSWER_BYTES", 100)
    job = studio.jobs.submit(maker, APPLE)
    worker.handle(endpoint.complete(endpoint.accepted[0]))
    done = studio.jobs.get(maker, job.id)
    assert done.failure and done.failure.code == "bad_output"
    assert money(studio, maker) == 0


def test_one_job_with_an_unexpected_error_does_not_stop_the_sweep(
    studio: Studio,
    endpoint: ScriptedEndpoint,
    maker: User,
    other: User,
    cloud: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bad, good = studio.jobs.submit(maker, APPLE), studio.jobs.submit(other, APPLE)
    endpoint.complete(endpoint.accepted[0])
    endpoint.complete(endpoint.accepted[1])
    finish = studio.completion.finish
    tried = []

    def broken(user_id: str, job_id: str, attempt: int) -> Any:
        if job_id == bad.id:
            tried.append(job_id)
            raise RuntimeError("an unexpected error")
        return finish(user_id, job_id, attempt)

    monkeypatch.setattr(studio.completion, "finish", broken)
    _make_due(studio, cloud, bad)
    _make_due(studio, cloud, good)
    studio.sweeper.sweep()
    assert tried == [bad.id]
    assert studio.jobs.get(other, good.id).status is JobStatus.SUCCEEDED
    _make_due(studio, cloud, bad, deadline_at=LONG_AGO)
    studio.sweeper.sweep()
    assert studio.jobs.get(maker, bad.id).status is JobStatus.EXPIRED
    assert money(studio, maker) == 0


def test_the_waiting_jobs_of_a_withdrawn_model_fail_with_a_reason(
    settings: Settings, studio: Studio, endpoint: ScriptedEndpoint, clients_of: Clients, maker: User
) -> None:
    jobs = [studio.jobs.submit(maker, APPLE) for _ in range(5)]
    without = build(settings.model_copy(update={"endpoints": {"sd-turbo": "x"}}), clients_of)
    endpoint.complete(endpoint.accepted[0])
    without.completion.finish(maker.id, jobs[0].id, 1)
    without.sweeper.dispatch(closed=jobs[0].id)
    without.close()
    done = studio.jobs.get(maker, jobs[0].id)
    assert done.status is JobStatus.SUCCEEDED
    assert done.cost_usd == pytest.approx(done.estimate.cost_usd, abs=1e-6)
    waiting = studio.jobs.get(maker, jobs[4].id)
    assert waiting.failure and waiting.failure.code == "model_withdrawn"


@pytest.fixture
def clients_of(settings: Settings, endpoint: ScriptedEndpoint) -> Clients:
    return replace(real_clients(settings), sagemaker=endpoint, sagemaker_runtime=endpoint)


def test_a_write_that_conflicts_with_a_transaction_is_retried(
    studio: Studio, endpoint: ScriptedEndpoint, settings: Settings, maker: User
) -> None:
    dynamodb = real_clients(settings).dynamodb
    # The first job of a month opens the studio's pot, so that below only the confirmation conflicts.
    studio.jobs.submit(maker, APPLE)
    met = []

    def meet(**_: Any) -> None:
        if len(met) < 2:
            met.append(1)
            raise ClientError({"Error": {"Code": "TransactionConflictException"}}, "UpdateItem")

    dynamodb.meta.events.register_first("before-send.dynamodb.UpdateItem", meet)
    try:
        job = studio.jobs.submit(maker, APPLE)
    finally:
        dynamodb.meta.events.unregister("before-send.dynamodb.UpdateItem", meet)
    assert len(met) == 2
    assert job.invoked_at is not None


def test_erasing_everything_refunds_a_job_that_is_not_yet_in_the_index(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    studio.jobs.submit(maker, APPLE)
    monkeypatch.setattr(JobStore, "running", lambda *_, **__: [])
    monkeypatch.setattr(JobStore, "waiting_due", lambda *_, **__: [])
    assert studio.jobs.delete_all(maker).jobs == 1
    usage = studio.ledger.usage(maker)
    assert (usage.open_jobs, usage.images_today, usage.spent_month_usd) == (0, 0, 0)


def test_a_picture_with_a_lost_record_is_restored_not_erased(
    studio: Studio, endpoint: ScriptedEndpoint, worker: Worker, maker: User, cloud: Any
) -> None:
    job = studio.jobs.submit(maker, JobRequest(prompt="a red apple", seed=7, count=3))
    message = endpoint.complete(endpoint.accepted[0])
    worker.handle(message)
    before = studio.images.list(maker).items
    drop(cloud, studio, maker, f"JOB#{job.id}", *(f"IMAGE#{job.id}#{n}" for n in range(3)))
    worker.handle(message)
    assert studio.reconciler.reconcile().restored == 3
    assert studio.images.list(maker).items == before
    found = studio.jobs.get(maker, job.id)
    assert (found.spec.count, len(found.image_ids), found.spec.seed) == (3, 3, 7)


def test_a_late_copy_of_a_deleted_picture_is_erased_and_not_restored(
    studio: Studio, endpoint: ScriptedEndpoint, worker: Worker, maker: User, cloud: Any
) -> None:
    studio.jobs.submit(maker, APPLE)
    worker.handle(endpoint.complete(endpoint.accepted[0]))
    [image] = studio.images.list(maker).items
    bucket, s3 = studio.settings.images_bucket, cloud.client("s3")
    data = s3.get_object(Bucket=bucket, Key=image.key)["Body"].read()
    studio.images.delete(maker, image.id)
    s3.put_object(Bucket=bucket, Key=image.key, Body=data)
    report = studio.reconciler.reconcile()
    assert (report.erased, report.restored) == (1, 0)
    assert _versions(studio, keys.images_prefix(maker.id)) == 0


def test_a_picture_of_a_canceled_job_is_erased_and_not_shown(
    studio: Studio, endpoint: ScriptedEndpoint, worker: Worker, maker: User, other: User, cloud: Any
) -> None:
    studio.jobs.submit(other, APPLE)
    worker.handle(endpoint.complete(endpoint.accepted[0]))
    [image] = studio.images.list(other).items
    data = cloud.client("s3").get_object(Bucket=studio.settings.images_bucket, Key=image.key)["Body"].read()
    job = studio.jobs.submit(maker, APPLE)
    studio.jobs.cancel(maker, job.id)
    left = keys.image_key(maker.id, job.id, 0)
    cloud.client("s3").put_object(Bucket=studio.settings.images_bucket, Key=left, Body=data)
    assert studio.reconciler.reconcile().erased == 1
    assert studio.images.list(maker).items == ()


def test_the_upkeep_completes_an_interrupted_deletion(
    studio: Studio,
    endpoint: ScriptedEndpoint,
    worker: Worker,
    maker: User,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    studio.jobs.submit(maker, APPLE)
    worker.handle(endpoint.complete(endpoint.accepted[0]))
    [image] = studio.images.list(maker).items
    with monkeypatch.context() as patch:
        patch.setattr(studio.images, "_finish_erasure", lambda _: (_ for _ in ()).throw(Unavailable("S3")))
        with pytest.raises(Unavailable):
            studio.images.delete(maker, image.id)
    assert studio.images.list(maker).items == ()
    assert _versions(studio, keys.images_prefix(maker.id)) > 0
    assert studio.images.upkeep() == 0, "the deletion may still be in progress"
    monkeypatch.setattr("services.images.images.UPKEEP_AFTER", timedelta(seconds=-10))
    assert studio.images.upkeep() == 1
    assert _versions(studio, keys.images_prefix(maker.id)) == 0
    assert studio.images.upkeep() == 0


def test_a_failed_thumbnail_is_created_later(
    studio: Studio,
    endpoint: ScriptedEndpoint,
    worker: Worker,
    maker: User,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    studio.jobs.submit(maker, APPLE)
    with monkeypatch.context() as patch:

        def broken(_: bytes) -> bytes:
            raise OSError("no space")

        patch.setattr("services.images.images.thumbnail", broken)
        worker.handle(endpoint.complete(endpoint.accepted[0]))
    [image] = studio.images.list(maker).items
    assert image.thumbnail_key is None
    assert studio.images.upkeep() == 1
    [image] = studio.images.list(maker).items
    assert image.thumbnail_key is not None
    assert image.thumbnail_key in _keys(studio, keys.images_prefix(maker.id))
    assert studio.images.upkeep() == 0


def test_a_job_dispatched_after_a_stale_read_is_not_expired(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User, cloud: Any
) -> None:
    for _ in range(4):
        studio.jobs.submit(maker, APPLE)
    job = studio.jobs.submit(maker, APPLE)
    stale = job.model_copy(update={"deadline_at": job.created_at.replace(year=2000)})
    studio.completion.cancel(studio.jobs.open(maker)[-1])
    studio.sweeper.dispatch()
    assert studio.jobs.get(maker, job.id).status is JobStatus.STARTING
    assert studio.completion.expire(stale).status is JobStatus.STARTING


def test_an_expired_attempt_expires_its_job(
    studio: Studio, endpoint: ScriptedEndpoint, worker: Worker, maker: User
) -> None:
    job = studio.jobs.submit(maker, APPLE)
    worker.handle(notification(endpoint.accepted[0], "Expired"))
    assert studio.jobs.get(maker, job.id).status is JobStatus.EXPIRED
    assert money(studio, maker) == 0


@pytest.mark.parametrize("nested", [True, False])
def test_the_failure_object_is_read_from_the_notifications_location(
    studio: Studio, endpoint: ScriptedEndpoint, worker: Worker, maker: User, cloud: Any, nested: bool
) -> None:
    job = studio.jobs.submit(maker, APPLE)
    [invocation] = endpoint.accepted
    message = json.loads(endpoint.fail(invocation, "shutting_down"))
    uri = f"s3://{studio.settings.outputs_bucket}/{invocation.failure_key}"
    message |= {"responseParameters": {"failureLocation": uri}} if nested else {"failureLocation": uri}
    cloud.client("dynamodb").update_item(
        TableName=studio.settings.table,
        Key={"PK": {"S": f"USER#{maker.id}"}, "SK": {"S": f"JOB#{job.id}"}},
        UpdateExpression="REMOVE failure_uri",
    )
    worker.handle(json.dumps(message))
    assert len(endpoint.accepted) == 2, "the returned attempt is repeated"


def test_expired_credentials_do_not_fail_a_job(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User
) -> None:
    endpoint.refuse.append(ClientError({"Error": {"Code": "ExpiredTokenException"}}, "InvokeEndpointAsync"))
    job = studio.jobs.submit(maker, APPLE)
    assert endpoint.refuse == []
    assert job.status is JobStatus.STARTING


def test_the_live_thread_survives_an_error_of_one_job(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = studio.jobs.submit(maker, APPLE), studio.jobs.submit(maker, APPLE)
    for job in (bad, good):
        studio.live.watch(maker, job.id)
    backend = studio.backends.of("pocket")
    progress = backend.progress
    tried = []

    def broken(job: Any) -> Any:
        if job.id == bad.id:
            tried.append(job.id)
            raise RuntimeError("an unexpected error")
        return progress(job)

    monkeypatch.setattr(backend, "progress", broken)
    studio.completion.cancel(good)
    studio.live.refresh()
    assert tried
    assert studio.live.watch(maker, good.id).status is JobStatus.CANCELED


def test_a_job_without_recent_watchers_is_read_before_it_is_shown(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = studio.jobs.submit(maker, APPLE)
    assert studio.live.watch(maker, job.id).status is JobStatus.STARTING
    # Simulates a sleeping thread.
    studio.live.close()
    studio.completion.cancel(job)
    monkeypatch.setattr(live_jobs, "WATCHED_S", 0.0)
    assert studio.live.watch(maker, job.id).status is JobStatus.CANCELED


def test_a_removed_local_user_loses_all_keys_and_a_demoted_one_has_maker_keys(
    table: Table, local_users: LocalUsers
) -> None:
    accounts = Accounts(ProfileStore(table), ApiKeyStore(table))
    local = local_users.add(
        "ada", email="ada@example.com", name="", password="correct horse battery", role=Role.ADMIN
    )
    secret = accounts.create_key(local_users.sign_in(local), "ci").secret
    assert accounts.by_api_key(secret).role is Role.ADMIN
    local_users.set_role("ada", Role.MAKER)
    assert accounts.by_api_key(secret).role is Role.MAKER
    local_users.remove("ada")
    with pytest.raises(NotSignedIn):
        accounts.by_api_key(secret)
    with pytest.raises(NotFound):
        accounts.user(local.user_id)


def test_a_job_behind_others_at_the_endpoint_shows_their_number(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User, other: User
) -> None:
    first, second = studio.jobs.submit(other, APPLE), studio.jobs.submit(maker, APPLE)
    assert studio.live.watch(other, first.id).ahead == 0
    live = studio.live.watch(maker, second.id)
    assert (live.status, live.ahead) == (JobStatus.STARTING, 1)
    assert live.eta_s == pytest.approx(
        first.estimate.run_s + second.estimate.run_s + second.estimate.cold_start_s
    )
