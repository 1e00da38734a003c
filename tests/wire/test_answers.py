"""Tests of container answers other than plain PNGs: WebP, withheld pictures, hints, and a passed deadline."""

from __future__ import annotations

import base64
import hashlib
import io
from typing import Any

import pytest
from PIL import Image as Pillow

from services.aws.objects import Objects
from services.backends.withheld import withheld_words
from services.build import Studio
from services.formats.png_metadata import read
from services.records import Hint, Job, JobRequest, JobStatus, Provenance, User, Withheld
from services.store.keys import progress_key
from services.worker import Worker
from tests.endpoint import REVISION, ScriptedEndpoint

TWO = JobRequest(prompt="a red apple", seed=7, count=2)


@pytest.fixture
def worker(studio: Studio) -> Worker:
    return Worker(studio, studio.results_queue, studio.metrics)


def as_webp(image: dict[str, Any], **options: Any) -> None:
    target = io.BytesIO()
    with Pillow.open(io.BytesIO(base64.b64decode(image["data"]))) as png:
        png.save(target, "WEBP", **options)
    set_file(image, target.getvalue(), "webp")


def set_file(image: dict[str, Any], file: bytes, kind: str) -> None:
    image["data"] = base64.b64encode(file).decode()
    image["format"] = kind
    image["sha256"] = hashlib.sha256(file).hexdigest()


def withhold(image: dict[str, Any]) -> None:
    image |= {"data": None, "sha256": None, "withheld": "nsfw", "nsfw": 0.97}


def submitted(studio: Studio, endpoint: ScriptedEndpoint, user: User, request: JobRequest = TWO) -> Job:
    job = studio.jobs.submit(user, request)
    assert endpoint.accepted[-1].inference_id.endswith(f"{job.id}-1")
    return job


def test_a_lossless_webp_is_stored_as_a_png_of_the_same_pixels_with_its_parameters(
    studio: Studio, endpoint: ScriptedEndpoint, worker: Worker, maker: User, cloud: Any
) -> None:
    job = submitted(studio, endpoint, maker)
    sent: list[bytes] = []

    def webp(answer: dict[str, Any]) -> None:
        sent.append(base64.b64decode(answer["images"][0]["data"]))
        for image in answer["images"]:
            as_webp(image, lossless=True)

    worker.handle(endpoint.complete(endpoint.accepted[0], webp))
    first = studio.images.of_jobs(maker, [studio.jobs.get(maker, job.id)])[job.id][0]
    stored = cloud.client("s3").get_object(Bucket=studio.settings.images_bucket, Key=first.key)
    png = stored["Body"].read()
    assert stored["ContentType"] == "image/png"
    parameters = read(png).parameters
    assert parameters is not None and parameters.seed == 7
    with Pillow.open(io.BytesIO(png), formats=["PNG"]) as kept, Pillow.open(io.BytesIO(sent[0])) as drawn:
        assert kept.tobytes() == drawn.tobytes()


def lossy(image: dict[str, Any]) -> None:
    as_webp(image, quality=50)


def of_another_size(image: dict[str, Any]) -> None:
    target = io.BytesIO()
    Pillow.new("RGB", (8, 8)).save(target, "WEBP", lossless=True)
    set_file(image, target.getvalue(), "webp")


def cut_off(image: dict[str, Any]) -> None:
    as_webp(image, lossless=True)
    set_file(image, base64.b64decode(image["data"])[:-20], "webp")


def withheld_with_its_bytes(image: dict[str, Any]) -> None:
    image["withheld"] = "nsfw"


def missing_without_a_reason(image: dict[str, Any]) -> None:
    image["data"] = None


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lossy, "not a lossless WebP"),
        (of_another_size, "8 x 8 pixels"),
        (cut_off, "cannot be read"),
        (withheld_with_its_bytes, "says was withheld"),
        (missing_without_a_reason, "does not say why"),
    ],
)
def test_a_picture_that_differs_from_its_description_fails_the_job_without_a_charge(
    studio: Studio, endpoint: ScriptedEndpoint, worker: Worker, maker: User, spoil: Any, words: str
) -> None:
    job = submitted(studio, endpoint, maker)
    worker.handle(endpoint.complete(endpoint.accepted[0], lambda answer: spoil(answer["images"][1])))
    done = studio.jobs.get(maker, job.id)
    assert (done.status, done.cost_usd) == (JobStatus.FAILED, 0.0)
    assert done.failure is not None and words in done.failure.message
    assert not studio.images.list(maker).items


def test_a_withheld_picture_leaves_the_others_and_is_not_charged(
    studio: Studio, endpoint: ScriptedEndpoint, worker: Worker, maker: User
) -> None:
    whole = submitted(studio, endpoint, maker)
    worker.handle(endpoint.complete(endpoint.accepted[0]))
    job = submitted(studio, endpoint, maker, TWO.model_copy(update={"seed": 21}))
    worker.handle(endpoint.complete(endpoint.accepted[1], lambda answer: withhold(answer["images"][0])))
    full, done = studio.jobs.get(maker, whole.id), studio.jobs.get(maker, job.id)
    assert done.status is JobStatus.SUCCEEDED
    assert done.withheld == (Withheld(n=0, seed=21, reason="nsfw", score=0.97),)
    assert done.image_ids == (f"{job.id}-1",)
    [image] = studio.images.of_jobs(maker, [done])[job.id]
    assert image.seed == 22
    assert full.cost_usd is not None and done.cost_usd == pytest.approx(full.cost_usd / 2, abs=1e-6)
    assert done.gpu_s == full.gpu_s == 1.0
    usage = studio.ledger.usage(maker)
    assert usage.spent_month_usd == pytest.approx(full.cost_usd + done.cost_usd, abs=2e-6)
    assert usage.open_jobs == 0
    # The same request again finds the job with its picture and the reason for the withheld one.
    assert studio.jobs.find_same(maker, TWO.model_copy(update={"seed": 21})) == done
    assert "1 of 2 pictures was withheld" in withheld_words(done.withheld, done.spec.count)


def test_a_job_with_only_withheld_pictures_fails_refunded_but_counted(
    studio: Studio, endpoint: ScriptedEndpoint, worker: Worker, maker: User
) -> None:
    job = submitted(studio, endpoint, maker)
    message = endpoint.complete(
        endpoint.accepted[0], lambda answer: [withhold(image) for image in answer["images"]]
    )
    worker.handle(message)
    worker.handle(message)
    done = studio.jobs.get(maker, job.id)
    assert (done.status, done.cost_usd, done.gpu_s) == (JobStatus.FAILED, 0.0, 1.0)
    assert done.failure is not None and done.failure.code == "withheld"
    assert "sexual content" in done.failure.message and "Nothing was charged" in done.failure.message
    assert [one.n for one in done.withheld] == [0, 1]
    assert not studio.images.list(maker).items
    usage = studio.ledger.usage(maker)
    assert (usage.spent_month_usd, usage.images_today, usage.open_jobs) == (0.0, 2, 0)
    assert studio.jobs.delete(maker, job.id).jobs == 1


def test_the_hint_and_the_batch_size_are_stored_with_the_job(
    studio: Studio, endpoint: ScriptedEndpoint, worker: Worker, maker: User
) -> None:
    job = submitted(studio, endpoint, maker)
    hint = {"nearest": ["cat face", "![x](http://evil.example)"], "likeness": 0.31}
    more = {"hint": hint, "batch_pictures": 5, "gpu_s": 0.25}
    worker.handle(endpoint.complete(endpoint.accepted[0], lambda answer: answer.update(more)))
    done = studio.jobs.get(maker, job.id)
    assert done.hint == Hint(nearest=("cat face", "![x](http://evil.example)"), likeness=0.31)
    assert (done.batch_pictures, done.gpu_s) == (5, 0.25)
    assert done.timings is not None and done.timings.denoise_s == 0.9
    # The job's share of the batch is charged, not the 1.0 s that the whole batch took.
    per_hour = studio.catalogue.card("pocket").usd_per_hour
    assert done.cost_usd == pytest.approx(0.25 * per_hour / 3600, abs=1e-6)


def test_the_models_identity_is_stored_with_the_job_in_bounded_form(
    studio: Studio, endpoint: ScriptedEndpoint, worker: Worker, maker: User
) -> None:
    plain, wordy = submitted(studio, endpoint, maker), submitted(studio, endpoint, maker)
    worker.handle(endpoint.complete(endpoint.accepted[0]))
    versions = {f"library{n}": "9" * 5000 for n in range(300)}
    worker.handle(
        endpoint.complete(
            endpoint.accepted[1], lambda answer: answer.update(versions=versions, device="g" * 999)
        )
    )
    assert studio.jobs.get(maker, plain.id).provenance == Provenance(
        revision=REVISION, device="cpu", versions={"torch": "2.13.0", "diffusers": "0.42.1"}
    )
    kept = studio.jobs.get(maker, wordy.id).provenance
    assert kept is not None and len(kept.model_dump_json()) < 4000 and kept.device == "g" * 60


def test_an_attempt_that_timed_out_in_the_containers_queue_is_repeated(
    studio: Studio, endpoint: ScriptedEndpoint, worker: Worker, maker: User
) -> None:
    job = submitted(studio, endpoint, maker)
    assert endpoint.accepted[0].payload["deadline_s"] == studio.settings.job_timeout_s - 5
    worker.handle(endpoint.fail(endpoint.accepted[0], code="deadline_exceeded"))
    again = studio.jobs.get(maker, job.id)
    assert (again.status, again.attempt) == (JobStatus.STARTING, 2)
    worker.handle(endpoint.complete(endpoint.accepted[1]))
    assert studio.jobs.get(maker, job.id).status is JobStatus.SUCCEEDED


def test_an_attempt_that_began_and_timed_out_fails(
    studio: Studio, endpoint: ScriptedEndpoint, worker: Worker, maker: User, cloud: Any
) -> None:
    job = submitted(studio, endpoint, maker)
    progress = Objects(cloud.client("s3"), studio.settings.outputs_bucket)
    progress.put(progress_key(maker.id, job.id, 1), b"{}", content_type="application/json")
    worker.handle(endpoint.fail(endpoint.accepted[0], code="deadline_exceeded"))
    done = studio.jobs.get(maker, job.id)
    assert (done.status, done.cost_usd) == (JobStatus.FAILED, 0.0)
    assert done.failure is not None and done.failure.code == "deadline_exceeded"
    assert "took too long" in done.failure.message
    assert len(endpoint.accepted) == 1
