"""Pictures that come with a job: stored with it, sent to the container, in the hash of the request, erased with it."""

from __future__ import annotations

import base64
import io
from typing import Any

import pytest
from PIL import Image as Pillow

from services import keys
from services.aws.objects import Objects
from services.build import Studio
from services.errors import IdempotencyMismatch, InvalidRequest, LimitReached, Unavailable
from services.metadata import read
from services.records import JobRequest, JobStatus, Task, User
from services.worker import Worker
from tests.endpoint import ScriptedEndpoint


def file(colour: str = "red", size: tuple[int, int] = (64, 64), kind: str = "PNG") -> bytes:
    target = io.BytesIO()
    Pillow.new("RGB", size, colour).save(target, kind)
    return target.getvalue()


def noise(side: int) -> bytes:
    """A PNG that compresses to about its pixels' size."""
    target = io.BytesIO()
    Pillow.effect_noise((side, side), 200).save(target, "PNG")
    return target.getvalue()


OVER = JobRequest(prompt="a green apple", seed=7, image=file(), strength=0.5)


@pytest.fixture
def worker(studio: Studio) -> Worker:
    return Worker(studio, studio.results_queue, studio.metrics)


@pytest.fixture
def inputs(studio: Studio, cloud: Any) -> Objects:
    return Objects(cloud.client("s3"), studio.settings.inputs_bucket)


def test_a_picture_goes_to_the_container_as_it_came_and_the_result_says_how_it_was_made(
    studio: Studio, endpoint: ScriptedEndpoint, worker: Worker, maker: User, cloud: Any
) -> None:
    request = OVER.model_copy(update={"mask": file("white"), "image": file(kind="JPEG")})
    job = studio.jobs.submit(maker, request)
    assert job.spec.task is Task.INPAINTING
    [invocation] = endpoint.accepted
    assert invocation.inline
    assert base64.b64decode(invocation.payload["image"]) == request.image
    assert base64.b64decode(invocation.payload["mask"]) == request.mask
    assert invocation.payload["strength"] == 0.5
    worker.handle(endpoint.complete(invocation))
    done = studio.jobs.get(maker, job.id)
    assert done.status is JobStatus.SUCCEEDED and done.spec == job.spec
    [image] = studio.images.of_jobs(maker, [done])[job.id]
    stored = cloud.client("s3").get_object(Bucket=studio.settings.images_bucket, Key=image.key)["Body"].read()
    found = read(stored)
    assert found.parameters is not None and found.parameters.strength == 0.5
    assert found.parameters.image_sha256 == job.spec.image_sha256
    assert found.a1111 is not None and found.a1111.fields["Denoising strength"] == "0.5"


def test_a_payload_over_128000_bytes_goes_by_s3(
    studio: Studio, endpoint: ScriptedEndpoint, inputs: Objects, maker: User
) -> None:
    picture = noise(512)
    assert len(picture) > 128_000
    job = studio.jobs.submit(maker, OVER.model_copy(update={"image": picture}))
    [invocation] = endpoint.accepted
    assert not invocation.inline
    assert base64.b64decode(invocation.payload["image"]) == picture
    prefix = keys.job_prefix(maker.id, job.id)
    assert sorted(inputs.keys(prefix)) == [f"{prefix}/1.json", f"{prefix}/image"]


def test_a_waiting_job_finds_its_picture_when_its_turn_comes(
    studio: Studio, endpoint: ScriptedEndpoint, worker: Worker, maker: User
) -> None:
    first = [studio.jobs.submit(maker, JobRequest(prompt="a cat")) for _ in range(4)]
    job = studio.jobs.submit(maker, OVER)
    assert job.status is JobStatus.QUEUED and len(endpoint.accepted) == len(first)
    worker.handle(endpoint.complete(endpoint.accepted[0]))
    assert base64.b64decode(endpoint.accepted[-1].payload["image"]) == OVER.image
    assert studio.jobs.get(maker, job.id).status is JobStatus.STARTING


def test_a_job_whose_picture_is_gone_fails_in_words_and_is_refunded(
    studio: Studio, endpoint: ScriptedEndpoint, worker: Worker, inputs: Objects, maker: User
) -> None:
    for _ in range(4):
        studio.jobs.submit(maker, JobRequest(prompt="a cat"))
    job = studio.jobs.submit(maker, OVER)
    assert inputs.erase(keys.input_key(maker.id, job.id, "image")) == 1
    worker.handle(endpoint.complete(endpoint.accepted[0]))
    done = studio.jobs.get(maker, job.id)
    assert (done.status, done.cost_usd) == (JobStatus.FAILED, 0.0)
    assert done.failure is not None and done.failure.code == "input_lost"
    assert len(endpoint.accepted) == 4


@pytest.mark.parametrize(
    "change", [{"image": file("blue")}, {"strength": 0.4}, {"mask": file("white")}, {"image": None}]
)
def test_another_picture_mask_or_strength_under_the_same_key_is_another_request(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User, inputs: Objects, change: dict[str, Any]
) -> None:
    changed = OVER.model_copy(update=change)
    if changed.image is None:
        changed = changed.model_copy(update={"strength": None})
    job = studio.jobs.submit(maker, OVER, idempotency_key="k")
    assert studio.jobs.submit(maker, OVER, idempotency_key="k").id == job.id
    with pytest.raises(IdempotencyMismatch):
        studio.jobs.submit(maker, changed, idempotency_key="k")
    assert len(endpoint.accepted) == 1
    # What was stored for the refused ones is gone.
    assert list(inputs.keys(f"{maker.id}/")) == [keys.input_key(maker.id, job.id, "image")]


def test_the_same_picture_again_is_found_and_another_one_is_not(
    studio: Studio, endpoint: ScriptedEndpoint, worker: Worker, maker: User
) -> None:
    job = studio.jobs.submit(maker, OVER)
    worker.handle(endpoint.complete(endpoint.accepted[0]))
    same = studio.jobs.find_same(maker, OVER)
    assert same is not None and same.id == job.id
    assert studio.jobs.find_same(maker, OVER.model_copy(update={"image": file("blue")})) is None
    assert studio.jobs.find_same(maker, JobRequest(prompt="a green apple", seed=7)) is None


def test_fewer_steps_are_drawn_and_estimated_over_a_picture(studio: Studio) -> None:
    plain = studio.jobs.estimate(JobRequest(prompt="a cat", steps=20))
    over = studio.jobs.estimate(OVER.model_copy(update={"steps": 20, "strength": 0.25}))
    assert over.run_s == pytest.approx(plain.run_s / 4)


def test_erasing_the_job_erases_its_pictures_and_so_does_erasing_everything(
    studio: Studio, endpoint: ScriptedEndpoint, worker: Worker, maker: User, inputs: Objects
) -> None:
    jobs = [studio.jobs.submit(maker, OVER.model_copy(update={"seed": seed})) for seed in (1, 2)]
    for invocation in list(endpoint.accepted):
        worker.handle(endpoint.complete(invocation))
    assert len(list(inputs.keys(f"{maker.id}/"))) == 2
    studio.jobs.delete(maker, jobs[0].id)
    assert list(inputs.keys(f"{maker.id}/")) == [keys.input_key(maker.id, jobs[1].id, "image")]
    studio.jobs.delete_all(maker)
    assert list(inputs.keys(f"{maker.id}/")) == []


def test_a_refused_request_leaves_nothing_stored(
    studio: Studio, maker: User, inputs: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InvalidRequest, match="cut off"):
        studio.jobs.submit(maker, OVER.model_copy(update={"image": noise(64)[:-100]}))
    limits = studio.settings.model_copy(update={"user_open_jobs": 1})
    monkeypatch.setattr(studio.ledger, "_settings", limits)
    studio.jobs.submit(maker, JobRequest(prompt="a cat"))
    with pytest.raises(LimitReached):
        studio.jobs.submit(maker, OVER)
    assert list(inputs.keys("")) == []


def test_a_picture_that_cannot_be_stored_makes_no_job(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused: list[str] = []

    def refuse(self: Objects, key: str, body: bytes, *, content_type: str) -> None:
        refused.append(key)
        raise Unavailable("S3 is busy.")

    with monkeypatch.context() as patch:
        patch.setattr(Objects, "put", refuse)
        with pytest.raises(Unavailable):
            studio.jobs.submit(maker, OVER)
    assert len(refused) == 1
    assert studio.jobs.list(maker).items == () and endpoint.accepted == []
    assert studio.ledger.usage(maker).open_jobs == 0


def test_a_restored_record_still_says_that_it_was_drawn_over_a_picture(
    studio: Studio, endpoint: ScriptedEndpoint, worker: Worker, maker: User, cloud: Any
) -> None:
    job = studio.jobs.submit(maker, OVER)
    worker.handle(endpoint.complete(endpoint.accepted[0]))
    table = cloud.client("dynamodb")
    for sk in (keys.job_sk(job.id), keys.image_sk(job.id, 0)):
        key = {"PK": {"S": keys.user_pk(maker.id)}, "SK": {"S": sk}}
        table.delete_item(TableName=studio.settings.table, Key=key)
    assert studio.reconciler.reconcile().restored == 1
    restored = studio.jobs.get(maker, job.id)
    assert restored.spec.task is Task.IMAGE_TO_IMAGE
    assert restored.spec.image_sha256 == job.spec.image_sha256
    assert restored.spec.strength == 0.5
