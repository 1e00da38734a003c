"""Tests of the job life cycle over the real table, buckets and queue: submitted, finished and charged once."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError
from PIL import Image as Pillow

from services.aws.objects import Objects
from services.backends.base import DrawnResult
from services.build import Studio, build
from services.clock import now
from services.errors import (
    Conflict,
    IdempotencyMismatch,
    InvalidRequest,
    LimitReached,
    NotFound,
)
from services.formats.png_metadata import read
from services.jobs.dispatch import CHECK_S, LATE
from services.records import Job, JobRequest, JobStatus, Role, User
from services.settings import Settings
from services.store import keys
from services.store.jobs import CLAIM_CHECK_S
from services.worker import Worker
from tests.endpoint import ScriptedEndpoint, picture
from tests.wire.conftest import real_clients

APPLE = JobRequest(prompt="a red apple", seed=7)
ADMIN = User(id="c" * 32, email="admin@example.com", role=Role.ADMIN)


@pytest.fixture
def worker(studio: Studio) -> Worker:
    return Worker(studio, studio.results_queue, studio.metrics)


def money(studio: Studio, user: User) -> float:
    return studio.ledger.usage(user).spent_month_usd


def test_a_job_is_invoked_at_once_and_ends_with_its_pictures_stored(
    studio: Studio, endpoint: ScriptedEndpoint, worker: Worker, maker: User, cloud: Any
) -> None:
    job = studio.jobs.submit(maker, JobRequest(prompt="a red apple", seed=7, count=2))
    assert job.status is JobStatus.STARTING
    assert job.invoked_at is not None
    [invocation] = endpoint.accepted
    assert invocation.inline
    assert len(invocation.inference_id) <= 64
    worker.handle(endpoint.complete(invocation))
    done = studio.jobs.get(maker, job.id)
    assert done.status is JobStatus.SUCCEEDED
    assert done.cost_usd is not None and 0 < done.cost_usd <= done.estimate.at_most_usd
    images = studio.images.list(maker).items
    assert [image.seed for image in images] == [8, 7]
    assert {image.id for image in images} == set(done.image_ids)
    stored = cloud.client("s3").get_object(Bucket=studio.settings.images_bucket, Key=images[1].key)
    data = stored["Body"].read()
    parameters = read(data).parameters
    assert parameters is not None
    assert (parameters.prompt, parameters.seed, parameters.image) == ("a red apple", 7, images[1].id)
    assert Pillow.open(io.BytesIO(data)).size == (128, 128)
    assert studio.ledger.usage(maker).images_today == 2
    assert money(studio, maker) == pytest.approx(done.cost_usd, abs=1e-6)
    assert studio.ledger.usage(maker).open_jobs == 0


def test_the_same_key_creates_one_job_and_refuses_another_body(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User
) -> None:
    first = studio.jobs.submit(maker, APPLE, idempotency_key="k1")
    again = studio.jobs.submit(maker, APPLE, idempotency_key="k1")
    assert again.id == first.id
    assert len(endpoint.accepted) == 1
    with pytest.raises(IdempotencyMismatch):
        studio.jobs.submit(maker, JobRequest(prompt="a pear"), idempotency_key="k1")


def test_ten_concurrent_submits_with_one_key_create_one_job(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User
) -> None:
    with ThreadPoolExecutor(10) as pool:
        jobs = list(pool.map(lambda _: studio.jobs.submit(maker, APPLE, idempotency_key="k"), range(10)))
    assert len({job.id for job in jobs}) == 1
    assert len(endpoint.accepted) == 1
    assert studio.ledger.usage(maker).open_jobs == 1


def test_the_same_key_of_another_user_creates_another_job(studio: Studio, maker: User, other: User) -> None:
    one = studio.jobs.submit(maker, APPLE, idempotency_key="k")
    two = studio.jobs.submit(other, APPLE, idempotency_key="k")
    assert one.id != two.id


def test_the_same_notification_three_times_changes_nothing(
    studio: Studio, endpoint: ScriptedEndpoint, worker: Worker, maker: User
) -> None:
    job = studio.jobs.submit(maker, APPLE)
    message = endpoint.complete(endpoint.accepted[0])
    worker.handle(message)
    first, spent = studio.jobs.get(maker, job.id), money(studio, maker)
    worker.handle(message)
    worker.handle(message)
    assert studio.jobs.get(maker, job.id) == first
    assert money(studio, maker) == spent
    assert len(studio.images.list(maker).items) == 1


@pytest.mark.parametrize("order", [("success", "error"), ("error", "success")])
def test_the_first_of_error_and_success_wins(
    studio: Studio, endpoint: ScriptedEndpoint, worker: Worker, maker: User, order: tuple[str, str]
) -> None:
    job = studio.jobs.submit(maker, APPLE)
    [invocation] = endpoint.accepted
    messages = {"success": endpoint.complete(invocation), "error": endpoint.fail(invocation)}
    for kind in order:
        worker.handle(messages[kind])
    done = studio.jobs.get(maker, job.id)
    if order[0] == "success":
        assert done.status is JobStatus.SUCCEEDED
        assert money(studio, maker) == pytest.approx(done.cost_usd, abs=1e-6)
    else:
        assert done.status is JobStatus.FAILED
        assert money(studio, maker) == 0
        assert studio.images.list(maker).items == ()
        assert list(_keys(studio, keys.images_prefix(maker.id))) == []


def test_concurrent_finishes_store_and_charge_once(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User
) -> None:
    job = studio.jobs.submit(maker, APPLE)
    endpoint.complete(endpoint.accepted[0])
    barrier = threading.Barrier(4)

    def finish(_: int) -> Job | None:
        barrier.wait()
        return studio.completion.finish(maker.id, job.id, 1)

    with ThreadPoolExecutor(4) as pool:
        ends = list(pool.map(finish, range(4)))
    assert {end.status for end in ends if end} == {JobStatus.SUCCEEDED}
    assert money(studio, maker) == pytest.approx(ends[0].cost_usd, abs=1e-6)  # type: ignore[union-attr]
    assert len(studio.images.list(maker).items) == 1
    # The bucket keeps every version of an object: a picture and a thumbnail, each written once.
    assert _versions(studio, keys.images_prefix(maker.id)) == 2


def test_the_picture_and_record_of_the_first_attempt_are_kept(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User
) -> None:
    job = studio.jobs.submit(maker, APPLE)
    endpoint.complete(endpoint.accepted[0])
    first = studio.backends.of("pocket").result(job, 1)
    assert isinstance(first, DrawnResult)
    [before] = studio.images.store(job, first)
    # An attempt on another machine yields slightly different pixels.
    other = replace(first, pictures=(replace(first.pictures[0], png=picture(128, 128, 9)),))
    [after] = studio.images.store(job, other)
    assert after.sha256 == before.sha256
    assert _versions(studio, keys.images_prefix(maker.id)) == 2


@pytest.mark.parametrize("begun", [False, True])
def test_a_job_is_repeated_only_if_it_had_not_begun_when_the_model_crashed(
    studio: Studio, endpoint: ScriptedEndpoint, worker: Worker, maker: User, begun: bool
) -> None:
    job = studio.jobs.submit(maker, APPLE)
    if begun:
        _begin(endpoint, maker, job)
    worker.handle(endpoint.die(endpoint.accepted[0]))
    ended = studio.jobs.get(maker, job.id)
    if begun:
        assert ended.failure and ended.failure.code == "model_crashed"
    else:
        assert [i.filename for i in endpoint.accepted] == ["1.json", "2.json"]
        worker.handle(endpoint.die(endpoint.accepted[1]))
        worker.handle(endpoint.complete(endpoint.accepted[2]))
        assert studio.jobs.get(maker, job.id).status is JobStatus.SUCCEEDED


def test_a_job_fails_after_three_model_crashes_before_it_begins(
    studio: Studio, endpoint: ScriptedEndpoint, worker: Worker, maker: User
) -> None:
    job = studio.jobs.submit(maker, APPLE)
    for attempt in range(3):
        worker.handle(endpoint.die(endpoint.accepted[attempt]))
    assert len(endpoint.accepted) == 3
    assert studio.jobs.get(maker, job.id).status is JobStatus.FAILED
    assert money(studio, maker) == 0


def _begin(endpoint: ScriptedEndpoint, maker: User, job: Job) -> None:
    progress = {"step": 1, "steps": 20, "started_at": now().isoformat(), "updated_at": now().isoformat()}
    endpoint.s3.put_object(
        Bucket=endpoint.outputs,
        Key=f"{keys.job_prefix(maker.id, job.id)}/{job.attempt}.progress.json",
        Body=json.dumps(progress).encode(),
    )


def spoil(**changes: Any) -> Any:
    return lambda answer: answer["images"][0].update(changes)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda a: a.update(images=[]), "0 pictures instead of 1"),
        (lambda a: a.update(status="done"), "cannot be read"),
        (spoil(seed=9), "seed 9"),
        (spoil(data="AAAA"), "hash"),
        (spoil(data="%%%"), "base64"),
        (lambda a: a.update(gpu_s=-1), "cannot be read"),
    ],
)
def test_an_invalid_answer_fails_and_refunds_the_job(
    studio: Studio, endpoint: ScriptedEndpoint, worker: Worker, maker: User, change: Any, words: str
) -> None:
    job = studio.jobs.submit(maker, APPLE)
    worker.handle(endpoint.complete(endpoint.accepted[0], change))
    done = studio.jobs.get(maker, job.id)
    assert done.status is JobStatus.FAILED
    assert done.failure and words in done.failure.message
    assert money(studio, maker) == 0
    assert studio.ledger.usage(maker).images_today == 0


def test_a_truncated_png_with_a_correct_hash_fails_the_job(
    studio: Studio, endpoint: ScriptedEndpoint, worker: Worker, maker: User
) -> None:
    def cut(answer: dict[str, Any]) -> None:
        image = answer["images"][0]
        png = base64.b64decode(image["data"])[:-20]
        image.update(data=base64.b64encode(png).decode(), sha256=hashlib.sha256(png).hexdigest())

    job = studio.jobs.submit(maker, APPLE)
    worker.handle(endpoint.complete(endpoint.accepted[0], cut))
    done = studio.jobs.get(maker, job.id)
    assert done.status is JobStatus.FAILED
    assert done.failure and done.failure.code == "bad_output"


def test_an_empty_output_fails_the_job(
    studio: Studio, endpoint: ScriptedEndpoint, worker: Worker, maker: User
) -> None:
    job = studio.jobs.submit(maker, APPLE)
    worker.handle(endpoint.write_output(endpoint.accepted[0], b""))
    assert studio.jobs.get(maker, job.id).status is JobStatus.FAILED


def test_an_attempt_returned_by_a_stopping_container_is_repeated(
    studio: Studio, endpoint: ScriptedEndpoint, worker: Worker, maker: User
) -> None:
    job = studio.jobs.submit(maker, APPLE)
    worker.handle(endpoint.fail(endpoint.accepted[0], "shutting_down"))
    assert [i.filename for i in endpoint.accepted] == ["1.json", "2.json"]
    worker.handle(endpoint.complete(endpoint.accepted[1]))
    assert studio.jobs.get(maker, job.id).status is JobStatus.SUCCEEDED


def test_a_job_returned_three_times_by_stopping_containers_fails(
    studio: Studio, endpoint: ScriptedEndpoint, worker: Worker, maker: User
) -> None:
    job = studio.jobs.submit(maker, APPLE)
    for attempt in range(3):
        worker.handle(endpoint.fail(endpoint.accepted[attempt], "shutting_down"))
    assert len(endpoint.accepted) == 3
    done = studio.jobs.get(maker, job.id)
    assert done.failure and done.failure.code == "shutting_down"
    assert money(studio, maker) == 0


def test_jobs_beyond_the_window_wait_and_start_as_others_end(
    studio: Studio, endpoint: ScriptedEndpoint, worker: Worker, maker: User, other: User
) -> None:
    jobs = [studio.jobs.submit(maker, APPLE) for _ in range(6)]
    late = studio.jobs.submit(other, APPLE)
    assert [job.status.value for job in jobs] == ["starting"] * 4 + ["queued"] * 2
    assert studio.live.watch(other, late.id).queue_position == 3
    worker.handle(endpoint.complete(endpoint.accepted[0]))
    # Fair by user: the other user's only job precedes the maker's fifth.
    assert endpoint.accepted[4].inference_id == keys.inference_id(other.id, late.id, 1)
    for number in range(1, 7):
        worker.handle(endpoint.complete(endpoint.accepted[number]))
    assert len(endpoint.accepted) == 7
    assert studio.jobs.open(maker) == ()


def test_canceling_a_waiting_job_costs_nothing(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User
) -> None:
    for _ in range(4):
        studio.jobs.submit(maker, APPLE)
    before = money(studio, maker)
    job = studio.jobs.submit(maker, APPLE)
    assert studio.jobs.cancel(maker, job.id).status is JobStatus.CANCELED
    assert studio.jobs.cancel(maker, job.id).cost_usd == 0
    assert money(studio, maker) == pytest.approx(before)
    assert len(endpoint.accepted) == 4


def test_the_late_output_of_a_canceled_running_job_is_discarded(
    studio: Studio, endpoint: ScriptedEndpoint, worker: Worker, maker: User
) -> None:
    job = studio.jobs.submit(maker, APPLE)
    studio.jobs.cancel(maker, job.id)
    marker = f"{keys.job_prefix(maker.id, job.id)}/cancel"
    assert marker in _keys(studio, keys.job_prefix(maker.id, job.id), bucket="outputs")
    worker.handle(endpoint.complete(endpoint.accepted[0]))
    assert studio.jobs.get(maker, job.id).status is JobStatus.CANCELED
    assert studio.images.list(maker).items == ()
    assert money(studio, maker) == 0


def test_a_finished_job_cannot_be_canceled(
    studio: Studio, endpoint: ScriptedEndpoint, worker: Worker, maker: User
) -> None:
    job = studio.jobs.submit(maker, APPLE)
    worker.handle(endpoint.complete(endpoint.accepted[0]))
    with pytest.raises(Conflict):
        studio.jobs.cancel(maker, job.id)


def _make_due(studio: Studio, cloud: Any, job: Job, **attributes: str) -> None:
    """Makes a job due for the sweeper and sets the given attributes."""
    names = {"GSI1SK": "2000-01-01T00:00:00.000#x", **attributes}
    cloud.client("dynamodb").update_item(
        TableName=studio.settings.table,
        Key={"PK": {"S": f"USER#{job.user_id}"}, "SK": {"S": f"JOB#{job.id}"}},
        UpdateExpression="SET " + ", ".join(f"#{n} = :{n}" for n in names),
        ExpressionAttributeNames={f"#{n}": n for n in names},
        ExpressionAttributeValues={f":{n}": {"S": v} for n, v in names.items()},
    )


def test_the_sweeper_finds_an_output_with_a_lost_notification(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User, cloud: Any
) -> None:
    job = studio.jobs.submit(maker, APPLE)
    endpoint.complete(endpoint.accepted[0])
    assert studio.sweeper.sweep().finished == 0, "it is not due yet"
    _make_due(studio, cloud, job)
    assert studio.sweeper.sweep().finished == 1
    assert studio.jobs.get(maker, job.id).status is JobStatus.SUCCEEDED


def test_the_sweeper_finds_a_failure_with_a_lost_notification(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User, cloud: Any
) -> None:
    job = studio.jobs.submit(maker, APPLE)
    endpoint.fail(endpoint.accepted[0], "out_of_memory")
    _make_due(studio, cloud, job)
    studio.sweeper.sweep()
    done = studio.jobs.get(maker, job.id)
    assert done.failure and done.failure.code == "out_of_memory"


def test_a_job_past_its_deadline_expires_and_is_refunded(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User, cloud: Any
) -> None:
    job = studio.jobs.submit(maker, APPLE)
    _make_due(studio, cloud, job, deadline_at="2000-01-01T00:00:00+00:00")
    assert studio.sweeper.sweep().expired == 1
    done = studio.jobs.get(maker, job.id)
    assert done.status is JobStatus.EXPIRED
    assert money(studio, maker) == 0
    assert studio.ledger.usage(maker).open_jobs == 0


@pytest.mark.parametrize("waiting", [False, True])
def test_jobs_with_time_left_do_not_expire_while_the_machine_sleeps(
    studio: Studio,
    settings: Settings,
    endpoint: ScriptedEndpoint,
    maker: User,
    monkeypatch: pytest.MonkeyPatch,
    waiting: bool,
) -> None:
    for _ in range(settings.dispatch_window if waiting else 0):
        studio.jobs.submit(maker, APPLE, idempotency_key=keys.new_id())
    job = studio.jobs.submit(maker, APPLE)
    assert job.status is (JobStatus.QUEUED if waiting else JobStatus.STARTING)
    slept, awake = timedelta(hours=2), now

    def later() -> datetime:
        return awake() + slept

    for module in ("services.clock", "services.jobs.sweep"):
        monkeypatch.setattr(f"{module}.now", later)
    assert studio.sweeper.sweep().expired == 0
    kept = studio.jobs.get(maker, job.id)
    assert kept.deadline_at is not None and job.deadline_at is not None
    assert kept.deadline_at > later() > job.deadline_at


def test_the_sweeper_repeats_a_throttled_invocation(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User, cloud: Any
) -> None:
    throttle = ClientError({"Error": {"Code": "ThrottlingException"}}, "InvokeEndpointAsync")
    endpoint.refuse.append(throttle)
    job = studio.jobs.submit(maker, APPLE)
    assert endpoint.refuse == []
    assert endpoint.accepted == []
    assert job.status is JobStatus.STARTING
    _make_due(studio, cloud, job)
    assert studio.sweeper.sweep().invoked == 1
    assert len(endpoint.accepted) == 1


def test_a_running_invocation_with_a_lost_answer_is_not_repeated(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User, cloud: Any
) -> None:
    endpoint.lose_answers.append(ReadTimeoutError(endpoint_url="http://localhost"))
    job = studio.jobs.submit(maker, APPLE)
    assert endpoint.lose_answers == []
    _begin(endpoint, maker, job)
    _make_due(studio, cloud, job)
    studio.sweeper.sweep()
    assert len(endpoint.accepted) == 1


def test_an_invocation_with_a_lost_answer_is_repeated_only_after_its_expected_turn(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead = studio.jobs.submit(maker, JobRequest(prompt="a red apple", seed=7, count=4, quality="fine"))
    endpoint.lose_answers.append(ReadTimeoutError(endpoint_url="http://localhost"))
    job = studio.jobs.submit(maker, APPLE)
    assert endpoint.lose_answers == []
    drawing_s = sum(each.estimate.run_s + each.estimate.beyond_s for each in (ahead, job))
    turn_s = CHECK_S + LATE * (job.estimate.cold_start_s + drawing_s)
    assert turn_s > CLAIM_CHECK_S + 5, "otherwise the check after a claim would be late enough"
    awake = now
    for after_s, invocations in ((turn_s - 2, 2), (turn_s + 2, 3)):
        monkeypatch.setattr(
            "services.jobs.sweep.now", lambda after_s=after_s: awake() + timedelta(seconds=after_s)
        )
        studio.sweeper.sweep()
        assert len(endpoint.accepted) == invocations


def test_a_job_that_is_drawn_twice_is_charged_once_and_counted(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint.lose_answers.append(ReadTimeoutError(endpoint_url="http://localhost"))
    job = studio.jobs.submit(maker, APPLE)
    awake = now
    monkeypatch.setattr("services.jobs.sweep.now", lambda: awake() + timedelta(minutes=10))
    studio.sweeper.sweep()
    first, second = endpoint.accepted
    marker, prefix = keys.cancel_marker(maker.id, job.id), keys.job_prefix(maker.id, job.id)

    endpoint.complete(first)
    done = studio.completion.finish(maker.id, job.id, 1)
    assert done is not None and done.status is JobStatus.SUCCEEDED and done.gpu_s is not None
    assert marker in _keys(studio, prefix, bucket="outputs"), "the other submission is not stopped"
    charged, pictures = money(studio, maker), studio.images.list(maker).items
    # The same notification again is no second drawing.
    studio.completion.finish(maker.id, job.id, 1)
    assert studio.costs.report(ADMIN, days=1).total.repeats == 0

    endpoint.complete(second, lambda answer: answer["timings"].update(total_s=3.5))
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: studio.completion.finish(maker.id, job.id, 1), range(3)))
    assert marker not in _keys(studio, prefix, bucket="outputs")
    assert (money(studio, maker), studio.images.list(maker).items) == (charged, pictures)
    total = studio.costs.report(ADMIN, days=1).total
    assert (total.jobs, total.repeats) == (1, 1)
    assert total.gpu_s == pytest.approx(done.gpu_s, abs=0.01) and total.repeat_gpu_s > 0


def test_the_marker_of_a_job_that_was_submitted_twice_goes_when_the_other_stops(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint.lose_answers.append(ReadTimeoutError(endpoint_url="http://localhost"))
    job = studio.jobs.submit(maker, APPLE)
    awake = now
    monkeypatch.setattr("services.jobs.sweep.now", lambda: awake() + timedelta(minutes=10))
    studio.sweeper.sweep()
    endpoint.complete(endpoint.accepted[0])
    studio.completion.finish(maker.id, job.id, 1)
    endpoint.write_output(endpoint.accepted[1], b'{"status": "canceled"}')
    done = studio.completion.finish(maker.id, job.id, 1)
    assert done is not None and done.status is JobStatus.SUCCEEDED
    marker = keys.cancel_marker(maker.id, job.id)
    assert marker not in _keys(studio, keys.job_prefix(maker.id, job.id), bucket="outputs")
    assert studio.costs.report(ADMIN, days=1).total.repeats == 0


def test_a_missing_endpoint_fails_and_refunds_the_job(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User
) -> None:
    missing = ClientError(
        {"Error": {"Code": "ValidationError", "Message": "Endpoint not found"}}, "InvokeEndpointAsync"
    )
    endpoint.refuse.append(missing)
    job = studio.jobs.submit(maker, APPLE)
    assert job.status is JobStatus.FAILED
    assert job.failure and job.failure.code == "endpoint_refused"
    assert money(studio, maker) == 0


def test_a_payload_too_large_for_the_body_is_sent_through_s3(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.backends.sagemaker_async.MAX_INLINE_BYTES", 100)
    studio.jobs.submit(maker, APPLE)
    [invocation] = endpoint.accepted
    assert not invocation.inline
    assert invocation.payload["prompt"] == "a red apple"


def test_fifty_concurrent_submits_never_exceed_the_budget(
    settings: Settings, studio: Studio, endpoint: ScriptedEndpoint, maker: User
) -> None:
    price = studio.jobs.estimate(APPLE).at_most_usd
    limited = settings.model_copy(update={"user_monthly_usd": price * 5.5})
    tight = build(limited, real_clients(settings))

    def submit(_: int) -> bool:
        try:
            tight.jobs.submit(maker, APPLE)
        except LimitReached as exc:
            assert exc.code == "user_budget"
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        accepted = sum(pool.map(submit, range(50)))
    tight.close()
    assert accepted == 5
    assert money(studio, maker) <= limited.user_monthly_usd


def test_the_daily_quota_reports_when_it_resets(studio: Studio, settings: Settings, maker: User) -> None:
    tight = build(settings.model_copy(update={"user_daily_images": 3}), real_clients(settings))
    tight.jobs.submit(maker, JobRequest(prompt="x", count=3))
    with pytest.raises(LimitReached) as caught:
        tight.jobs.submit(maker, APPLE)
    tight.close()
    assert caught.value.code == "daily_quota"
    assert caught.value.retry_after_s is not None and 0 < caught.value.retry_after_s <= 86400


def test_other_users_and_malformed_ids_look_like_unknown_ones(
    studio: Studio, endpoint: ScriptedEndpoint, worker: Worker, maker: User, other: User
) -> None:
    job = studio.jobs.submit(maker, APPLE)
    worker.handle(endpoint.complete(endpoint.accepted[0]))
    messages = set()
    for bad in (job.id, keys.new_id(), "x", "../../etc", "", f"{job.id}#0", "USER#" + "a" * 32):
        with pytest.raises(NotFound) as caught:
            studio.jobs.get(other, bad)
        messages.add(str(caught.value))
    assert len(messages) == 1
    image = studio.images.list(maker).items[0]
    for bad in (image.id, f"{keys.new_id()}-0", "x", f"{job.id}-99", f"{job.id}"):
        with pytest.raises(NotFound):
            studio.images.get(other, bad)
    with pytest.raises(NotFound):
        studio.trash.get(other, image.id)
    with pytest.raises(NotFound):
        studio.images.delete(other, image.id)
    with pytest.raises(NotFound):
        studio.jobs.cancel(other, job.id)


def test_lists_continue_by_cursor_and_an_invalid_cursor_is_refused(studio: Studio, maker: User) -> None:
    made = [studio.jobs.submit(maker, APPLE).id for _ in range(5)]
    first = studio.jobs.list(maker, limit=2)
    second = studio.jobs.list(maker, limit=2, after=first.next)
    third = studio.jobs.list(maker, limit=2, after=second.next)
    seen = [job.id for page in (first, second, third) for job in page.items]
    assert seen == made[::-1]
    assert third.next is None
    for cursor in ("x", "Zm9v", "IlBST0ZJTEUi", "=" * 10):
        with pytest.raises(InvalidRequest):
            studio.jobs.list(maker, after=cursor)


def test_an_erased_job_leaves_nothing_behind(
    studio: Studio, endpoint: ScriptedEndpoint, worker: Worker, maker: User, other: User
) -> None:
    job = studio.jobs.submit(maker, JobRequest(prompt="a red apple", count=2))
    kept = studio.jobs.submit(other, APPLE)
    for invocation in endpoint.accepted:
        worker.handle(endpoint.complete(invocation))
    receipt = studio.jobs.delete(maker, job.id)
    assert (receipt.jobs, receipt.images) == (1, 2)
    assert receipt.objects == 5  # two pictures, two thumbnails, one output
    assert list(_keys(studio, keys.images_prefix(maker.id))) == []
    assert _versions(studio, keys.images_prefix(maker.id)) == 0
    assert studio.images.list(maker).items == ()
    assert studio.jobs.get(other, kept.id).status is JobStatus.SUCCEEDED
    with pytest.raises(NotFound):
        studio.jobs.delete(maker, job.id)


def test_erasing_everything_includes_running_jobs_and_their_late_output(
    studio: Studio, endpoint: ScriptedEndpoint, worker: Worker, maker: User
) -> None:
    for _ in range(3):
        studio.jobs.submit(maker, APPLE, idempotency_key=keys.new_id())
    worker.handle(endpoint.complete(endpoint.accepted[0]))
    receipt = studio.jobs.delete_all(maker)
    assert receipt.jobs == 3
    worker.handle(endpoint.complete(endpoint.accepted[1]))
    assert studio.jobs.list(maker).items == ()
    assert _versions(studio, keys.images_prefix(maker.id)) == 0
    # The container of the third job has not reported yet, so its cancel marker stays.
    left = _keys(studio, f"{maker.id}/", bucket="outputs")
    assert [key.rpartition("/")[2] for key in left] == ["cancel"]


@pytest.mark.parametrize("canceled_by_container", [True, False])
def test_erasing_everything_deletes_the_cancel_markers_of_ended_jobs(
    studio: Studio, endpoint: ScriptedEndpoint, worker: Worker, maker: User, canceled_by_container: bool
) -> None:
    job = studio.jobs.submit(maker, APPLE)
    studio.jobs.cancel(maker, job.id)
    assert _keys(studio, f"{maker.id}/", bucket="outputs")
    if canceled_by_container:
        stopped = json.dumps({"status": "canceled", "step": 1, "gpu_s": 0.1}).encode()
        worker.handle(endpoint.write_output(endpoint.accepted[0], stopped))
    else:
        worker.handle(endpoint.fail(endpoint.accepted[0]))
    studio.jobs.delete_all(maker)
    assert list(_keys(studio, f"{maker.id}/", bucket="outputs")) == []


def test_deleting_a_picture_deletes_every_version(
    studio: Studio, endpoint: ScriptedEndpoint, worker: Worker, maker: User
) -> None:
    studio.jobs.submit(maker, APPLE)
    worker.handle(endpoint.complete(endpoint.accepted[0]))
    worker.handle(endpoint.complete(endpoint.accepted[0]))
    [image] = studio.images.list(maker).items
    assert studio.marks.star_many(maker, [image.id], True).done == (image.id,)
    assert studio.images.list(maker, favorites=True).items[0].id == image.id
    studio.images.delete(maker, image.id)
    assert _versions(studio, keys.images_prefix(maker.id)) == 0
    with pytest.raises(NotFound):
        studio.images.get(maker, image.id)


def test_an_identical_request_finds_the_earlier_pictures(
    studio: Studio, endpoint: ScriptedEndpoint, worker: Worker, maker: User, other: User
) -> None:
    job = studio.jobs.submit(maker, APPLE)
    assert studio.jobs.find_same(maker, APPLE) is None
    worker.handle(endpoint.complete(endpoint.accepted[0]))
    same = studio.jobs.find_same(maker, APPLE)
    assert same and same.id == job.id
    assert studio.jobs.find_same(other, APPLE) is None
    assert studio.jobs.find_same(maker, JobRequest(prompt="a red apple")) is None
    studio.images.delete(maker, studio.images.list(maker).items[0].id)
    assert studio.jobs.find_same(maker, APPLE) is None


def test_a_picture_without_a_record_is_recorded_again(
    studio: Studio, endpoint: ScriptedEndpoint, worker: Worker, maker: User, cloud: Any
) -> None:
    job = studio.jobs.submit(maker, JobRequest(prompt="a red apple", seed=7, count=2))
    worker.handle(endpoint.complete(endpoint.accepted[0]))
    before = studio.images.list(maker).items
    dynamodb = cloud.client("dynamodb")
    for sk in (f"JOB#{job.id}", f"IMAGE#{job.id}#0", f"IMAGE#{job.id}#1"):
        dynamodb.delete_item(
            TableName=studio.settings.table, Key={"PK": {"S": f"USER#{maker.id}"}, "SK": {"S": sk}}
        )
    stranger = keys.image_key(maker.id, keys.new_id(), 0)
    cloud.client("s3").put_object(Bucket=studio.settings.images_bucket, Key=stranger, Body=b"not a picture")
    report = studio.reconciler.reconcile()
    assert (report.pictures, report.restored, report.unreadable) == (3, 2, 1)
    assert studio.images.list(maker).items == before
    assert studio.jobs.get(maker, job.id).status is JobStatus.SUCCEEDED
    assert studio.reconciler.reconcile().restored == 0


def test_an_unreadable_message_does_not_stop_the_handling_of_others(
    studio: Studio, endpoint: ScriptedEndpoint, worker: Worker, maker: User, cloud: Any
) -> None:
    job = studio.jobs.submit(maker, APPLE)
    sqs, url = cloud.client("sqs"), studio.settings.results_queue_url
    sqs.send_message(QueueUrl=url, MessageBody="{not json")
    sqs.send_message(QueueUrl=url, MessageBody=endpoint.complete(endpoint.accepted[0]))
    handled = 0
    for _ in range(5):
        handled += worker.receive_once(wait_s=1)
        if handled:
            break
    assert handled == 1
    assert studio.jobs.get(maker, job.id).status is JobStatus.SUCCEEDED


def test_live_status_shows_step_and_preview_and_finishes_the_job(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User
) -> None:
    job = studio.jobs.submit(maker, APPLE)
    assert studio.live.watch(maker, job.id).status is JobStatus.STARTING
    started = now()
    progress = {"step": 5, "steps": 20, "started_at": started.isoformat(), "updated_at": now().isoformat()}
    where = f"{keys.job_prefix(maker.id, job.id)}/1.progress.json"
    endpoint.s3.put_object(Bucket=endpoint.outputs, Key=where, Body=json.dumps(progress).encode())
    studio.live.refresh()
    live = studio.live.watch(maker, job.id)
    assert (live.status, live.step, live.steps) == (JobStatus.PROCESSING, 5, 20)
    assert live.preview_url and "preview.webp" in live.preview_url
    endpoint.complete(endpoint.accepted[0])
    progress["step"] = 20
    endpoint.s3.put_object(Bucket=endpoint.outputs, Key=where, Body=json.dumps(progress).encode())
    studio.live.refresh()
    assert studio.live.watch(maker, job.id).status is JobStatus.SUCCEEDED


def _keys(studio: Studio, prefix: str, bucket: str = "images") -> list[str]:
    name = studio.settings.images_bucket if bucket == "images" else studio.settings.outputs_bucket
    return list(Objects(real_clients(studio.settings).s3, name).keys(prefix))


def _versions(studio: Studio, prefix: str) -> int:
    s3 = real_clients(studio.settings).s3
    answer = s3.list_object_versions(Bucket=studio.settings.images_bucket, Prefix=prefix)
    return len(answer.get("Versions", [])) + len(answer.get("DeleteMarkers", []))
