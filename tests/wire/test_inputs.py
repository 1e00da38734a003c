"""Tests of input pictures: stored with the job, sent to the container, hashed with the request, erased with the job."""

from __future__ import annotations

import base64
import io
from typing import Any

import pytest
from PIL import Image as Pillow

from services.aws.objects import Objects
from services.build import Studio
from services.errors import IdempotencyMismatch, InvalidRequest, LimitReached, NotFound, Unavailable
from services.formats.png_metadata import chunks, read
from services.records import Fit, Image, JobRequest, JobStatus, Source, Task, User
from services.store import keys
from services.worker import Worker
from tests import hostile_files as files
from tests.endpoint import ScriptedEndpoint


def file(color: str = "red", size: tuple[int, int] = (64, 64), kind: str = "PNG") -> bytes:
    target = io.BytesIO()
    Pillow.new("RGB", size, color).save(target, kind)
    return target.getvalue()


def colored_noise(side: int) -> bytes:
    """Returns a PNG of noise with three independent channels."""
    gray = Pillow.effect_noise((3 * side, side), 200).tobytes()
    bands = [Pillow.frombytes("L", (side, side), gray[n * side * side :][: side * side]) for n in range(3)]
    target = io.BytesIO()
    Pillow.merge("RGB", bands).save(target, "PNG")
    return target.getvalue()


def noise(side: int) -> bytes:
    """Returns a PNG of noise, which hardly compresses."""
    target = io.BytesIO()
    Pillow.effect_noise((side, side), 200).save(target, "PNG")
    return target.getvalue()


def pixels(png: bytes | str) -> Pillow.Image:
    """Opens a PNG, given as bytes or base64."""
    return Pillow.open(io.BytesIO(png if isinstance(png, bytes) else base64.b64decode(png)))


OVER = JobRequest(prompt="a green apple", seed=7, image=file(), strength=0.5)


@pytest.fixture
def worker(studio: Studio) -> Worker:
    return Worker(studio, studio.results_queue, studio.metrics)


@pytest.fixture
def inputs(studio: Studio, cloud: Any) -> Objects:
    return Objects(cloud.client("s3"), studio.settings.inputs_bucket)


def test_an_input_picture_loses_its_metadata_and_the_result_records_its_parameters(
    studio: Studio, endpoint: ScriptedEndpoint, worker: Worker, maker: User, cloud: Any
) -> None:
    photograph = files.with_exif("JPEG", files.tiff(place=True))
    request = OVER.model_copy(update={"mask": file("white"), "image": photograph})
    job = studio.jobs.submit(maker, request)
    assert job.spec.task is Task.INPAINTING
    [invocation] = endpoint.accepted
    assert invocation.inline
    image = base64.b64decode(invocation.payload["image"])
    assert {chunk.kind for chunk in chunks(image)} == {b"IHDR", b"IDAT", b"IEND"}
    assert (pixels(image).size, pixels(image).mode) == ((128, 128), "RGB")
    mask = pixels(invocation.payload["mask"])
    assert (mask.size, mask.mode, mask.getextrema()) == ((128, 128), "L", (255, 255))
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


def test_a_payload_over_128000_bytes_is_sent_through_s3(
    studio: Studio, endpoint: ScriptedEndpoint, inputs: Objects, maker: User
) -> None:
    picture = colored_noise(192)
    files_of_192 = {"image": picture, "mask": noise(192), "width": 192, "height": 192}
    request = OVER.model_copy(update=files_of_192)
    job = studio.jobs.submit(maker, request)
    [invocation] = endpoint.accepted
    assert not invocation.inline
    assert pixels(invocation.payload["image"]).tobytes() == pixels(picture).tobytes()
    prefix = keys.job_prefix(maker.id, job.id)
    assert sorted(inputs.keys(prefix)) == [f"{prefix}/1.json", f"{prefix}/image", f"{prefix}/mask"]


def test_a_waiting_job_is_invoked_with_its_input_picture(
    studio: Studio, endpoint: ScriptedEndpoint, worker: Worker, maker: User
) -> None:
    first = [studio.jobs.submit(maker, JobRequest(prompt="a cat")) for _ in range(4)]
    job = studio.jobs.submit(maker, OVER)
    assert job.status is JobStatus.QUEUED and len(endpoint.accepted) == len(first)
    worker.handle(endpoint.complete(endpoint.accepted[0]))
    assert pixels(endpoint.accepted[-1].payload["image"]).getpixel((5, 5)) == (255, 0, 0)
    assert studio.jobs.get(maker, job.id).status is JobStatus.STARTING


def test_a_job_whose_input_picture_is_gone_fails_and_is_refunded(
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
def test_the_same_key_with_another_picture_mask_or_strength_is_refused(
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
    # The inputs of the refused requests are erased.
    assert list(inputs.keys(f"{maker.id}/")) == [keys.input_key(maker.id, job.id, "image")]


def test_an_earlier_job_is_found_only_with_the_same_input_picture(
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


def test_erasing_a_job_or_everything_erases_the_input_pictures(
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


def test_no_job_is_created_if_its_input_picture_cannot_be_stored(
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


def test_a_restored_record_still_names_its_input_picture(
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


@pytest.fixture
def picture(studio: Studio, endpoint: ScriptedEndpoint, worker: Worker, maker: User) -> Image:
    """A picture in the maker's gallery."""
    job = studio.jobs.submit(maker, JobRequest(prompt="a cat"))
    worker.handle(endpoint.complete(endpoint.accepted[-1]))
    return studio.images.of_jobs(maker, [studio.jobs.get(maker, job.id)])[job.id][0]


def test_an_upload_is_stored_without_metadata_and_fitted_as_chosen(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User, inputs: Objects
) -> None:
    wide = Pillow.new("RGB", (300, 100), "red")
    wide.paste("blue", (0, 0, 50, 100))
    target = io.BytesIO()
    wide.save(target, "JPEG", exif=b"Exif\0\0" + files.tiff(place=True), quality=100, subsampling=0)
    kept = studio.sources.keep(maker, target.getvalue())
    assert (kept.width, kept.height) == (300, 100)
    [key] = inputs.keys(f"{maker.id}/uploads/")
    stored = inputs.get(key, max_bytes=1_000_000)
    assert {chunk.kind for chunk in chunks(stored)} == {b"IHDR", b"IDAT", b"IEND"}
    mask = Pillow.new("L", (300, 100), 0)
    mask.paste(255, (150, 0, 200, 100))
    target = io.BytesIO()
    mask.save(target, "PNG")
    mask_id = studio.sources.keep_mask(maker, kept, target.getvalue())
    for fit, corner, masked in ((Fit.CROP, (254, 0, 0), 0), (Fit.PAD, (255, 255, 255), 255)):
        source = Source(id=kept.id, fit=fit, mask=mask_id)
        studio.jobs.submit(maker, JobRequest(prompt="a cat", source=source, strength=0.5))
        sent = endpoint.accepted[-1].payload
        assert pixels(sent["image"]).getpixel((0, 0)) == corner
        assert pixels(sent["mask"]).getpixel((0, 0)) == masked
        assert pixels(sent["mask"]).getextrema() == (0, 255)


@pytest.mark.parametrize("fit", list(Fit))
def test_a_thin_picture_can_be_drawn_over_and_is_not_another_one(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User, fit: Fit
) -> None:
    sent = []
    for color in ("red", "blue"):
        kept = studio.sources.keep(maker, file(color, (8000, 1)))
        assert (kept.width, kept.height) == (2048, 1)
        source = Source(id=kept.id, fit=fit)
        studio.jobs.submit(maker, JobRequest(prompt="a cat", source=source, strength=0.5))
        sent.append(endpoint.accepted[-1].payload["image"])
    assert sent[0] != sent[1]
    job = studio.jobs.submit(maker, JobRequest(prompt="a cat", image=file("red", (8000, 1)), strength=0.5))
    assert job.spec.image_sha256 is not None
    assert pixels(endpoint.accepted[-1].payload["image"]).getpixel((0, 0)) == (255, 0, 0)


def test_gallery_pictures_and_job_inputs_can_be_drawn_over(
    studio: Studio, endpoint: ScriptedEndpoint, worker: Worker, maker: User, picture: Image
) -> None:
    over = JobRequest(prompt="a dog", seed=3, source=Source(id=picture.id), strength=0.5)
    first = studio.jobs.submit(maker, over)
    sent = endpoint.accepted[-1].payload["image"]
    worker.handle(endpoint.complete(endpoint.accepted[-1]))
    again = over.model_copy(update={"source": Source(id=first.id)})
    # The same picture under another id is the same request.
    same = studio.jobs.find_same(maker, again)
    assert same is not None and same.id == first.id
    studio.jobs.submit(maker, again)
    assert endpoint.accepted[-1].payload["image"] == sent


def test_the_mask_of_an_earlier_job_can_be_reused(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User
) -> None:
    masked = OVER.model_copy(update={"mask": file("white")})
    job = studio.jobs.submit(maker, masked)
    look = studio.sources.look(maker, job.id)
    assert (look.width, look.height, look.mask) == (128, 128, job.id)
    assert pixels(studio.sources.mask(maker, job.id)).getextrema() == (255, 255)
    source = Source(id=job.id, mask=look.mask)
    studio.jobs.submit(maker, JobRequest(prompt="a dog", source=source, strength=0.5))
    assert endpoint.accepted[-1].payload["mask"] == endpoint.accepted[0].payload["mask"]


def test_another_users_source_looks_like_a_missing_one(
    studio: Studio, maker: User, other: User, picture: Image
) -> None:
    upload = studio.sources.keep(maker, file())
    mask = studio.sources.keep_mask(maker, upload, file("white"))
    over = studio.jobs.submit(maker, OVER.model_copy(update={"mask": file("white")}))
    told = set()
    for name in (upload.id, picture.id, over.id, "../" + maker.id, "x", ""):
        with pytest.raises(NotFound) as refused:
            studio.sources.look(other, name)
        told.add(refused.value.message)
        with pytest.raises(NotFound):
            studio.jobs.submit(other, JobRequest(prompt="a cat", source=Source(id=name)))
    assert told <= {
        "There is no such picture.",
        "The picture to draw over is no longer stored. Choose it again.",
    }
    for name in (mask, over.id):
        with pytest.raises(NotFound):
            studio.sources.mask(other, name)


def test_a_mask_of_another_shape_or_without_white_is_refused(studio: Studio, maker: User) -> None:
    kept = studio.sources.keep(maker, file())
    with pytest.raises(InvalidRequest, match="same shape"):
        studio.sources.keep_mask(maker, kept, file("white", (64, 32)))
    empty = studio.sources.keep_mask(maker, kept, file("black", (32, 32)))
    with pytest.raises(InvalidRequest, match="no white area"):
        studio.jobs.submit(maker, JobRequest(prompt="a cat", source=Source(id=kept.id, mask=empty)))


def test_new_uploads_replace_the_oldest_and_erasing_everything_erases_all(
    studio: Studio, maker: User, inputs: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.jobs.sources.MOST_UPLOADS", 3)
    kept = [studio.sources.keep(maker, file(color)).id for color in ("red", "blue", "green", "teal")]
    assert [key.rpartition("/")[2] for key in inputs.keys(f"{maker.id}/uploads/")] == kept[1:]
    studio.sources.keep_mask(maker, studio.sources.look(maker, kept[-1]), file("white"))
    studio.jobs.delete_all(maker)
    assert list(inputs.keys(f"{maker.id}/")) == []


def test_the_price_of_a_stored_source_counts_the_steps_that_are_drawn(studio: Studio) -> None:
    plain = studio.jobs.estimate(JobRequest(prompt="a cat", steps=20))
    over = JobRequest(prompt="a cat", steps=20, source=Source(id="x"), strength=0.25)
    assert studio.jobs.estimate(over).run_s == pytest.approx(plain.run_s / 4)
