"""Tests of reruns: drawn from the job's settings and source pictures, and compared with the first result."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image as Pillow

from services.build import Studio
from services.errors import NotFound
from services.records import Image, Job, JobRequest, JobStatus, User
from services.store import keys
from tests.endpoint import ScriptedEndpoint, picture
from tests.wire.test_answers import set_file
from tests.wire.test_jobs import _keys

Change = Callable[[dict[str, Any]], object]


@pytest.fixture
def finish(studio: Studio, endpoint: ScriptedEndpoint, maker: User) -> Callable[..., Job]:
    """Completes the last invocation, with the answer modified by `change`: `finish(job)`."""

    def finished(job: Job, change: Change | None = None) -> Job:
        endpoint.complete(endpoint.accepted[-1], change)
        studio.completion.finish(maker.id, job.id, job.attempt)
        return studio.jobs.get(maker, job.id)

    return finished


@pytest.fixture
def drawn(studio: Studio, finish: Callable[..., Job], maker: User) -> Image:
    """The second of a job's three pictures."""
    job = finish(studio.jobs.submit(maker, JobRequest(prompt="a red apple", seed=7, count=3, steps=12)))
    return studio.images.get(maker, job.image_ids[1])


def other_pixels(answer: dict[str, Any]) -> None:
    image = answer["images"][0]
    with Pillow.open(io.BytesIO(base64.b64decode(image["data"]))) as read:
        changed = read.convert("RGB")
    changed.putpixel((0, 0), (200, 200, 200))
    target = io.BytesIO()
    changed.save(target, "PNG")
    set_file(image, target.getvalue(), "png")


def test_a_rerun_with_the_pictures_own_parameters_is_identical(
    studio: Studio, endpoint: ScriptedEndpoint, finish: Callable[..., Job], maker: User, drawn: Image
) -> None:
    assert studio.reproductions.latest(maker, drawn.id) is None
    again = studio.reproductions.start(maker, drawn.id, key="press")
    asked = endpoint.accepted[-1].payload
    assert (asked["seed"], asked["num_images_per_prompt"], asked["num_inference_steps"]) == (8, 1, 12)
    waiting = studio.reproductions.latest(maker, drawn.id)
    assert waiting is not None and waiting.open and waiting.rerun.difference is None
    finish(again)
    found = studio.reproductions.latest(maker, drawn.id)
    assert found is not None and found.rerun.difference is not None
    assert found.rerun.difference.identical and found.map_url is None
    assert found.first is not None and found.again is not None
    assert found.first.provenance == found.again.provenance is not None
    assert found.again.cost_usd is not None and found.again.cost_usd > 0


def test_a_differing_rerun_gets_figures_and_a_map(
    studio: Studio, finish: Callable[..., Job], maker: User, drawn: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = finish(studio.reproductions.start(maker, drawn.id, key="press"), other_pixels)
    found = studio.reproductions.latest(maker, drawn.id)
    assert found is not None and found.rerun.difference is not None and found.map_url is not None
    assert (found.rerun.difference.differing, found.rerun.difference.largest) == (1, 200)
    assert keys.difference_key(maker.id, again.id, 0) in _keys(studio, keys.images_prefix(maker.id, again.id))

    def compared_anew(*_: object) -> None:
        raise AssertionError("compared again although the result is stored")

    monkeypatch.setattr("services.jobs.reproductions.difference", compared_anew)
    known = studio.reproductions.latest(maker, drawn.id)
    assert known is not None and known.rerun == found.rerun
    studio.images.delete(maker, f"{again.id}-0")
    assert _keys(studio, keys.images_prefix(maker.id, again.id)) == []
    left = studio.reproductions.latest(maker, drawn.id)
    assert left is not None and left.picture is None and left.rerun.difference == found.rerun.difference


def test_a_repeated_key_draws_once_and_a_new_key_draws_again(
    studio: Studio, endpoint: ScriptedEndpoint, finish: Callable[..., Job], maker: User, drawn: Image
) -> None:
    first = finish(studio.reproductions.start(maker, drawn.id, key="press"))
    count = len(endpoint.accepted)
    assert studio.reproductions.start(maker, drawn.id, key="press").id == first.id
    assert len(endpoint.accepted) == count
    second = studio.reproductions.start(maker, drawn.id, key="another press")
    latest = studio.reproductions.latest(maker, drawn.id)
    assert latest is not None and latest.rerun.job_id == second.id != first.id


def test_a_failed_rerun_is_reported_and_not_charged(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User, drawn: Image
) -> None:
    again = studio.reproductions.start(maker, drawn.id, key="press")
    endpoint.fail(endpoint.accepted[-1])
    studio.completion.fail(maker.id, again.id, 1, "it broke", failure_uri=None)
    found = studio.reproductions.latest(maker, drawn.id)
    assert found is not None and not found.open and found.rerun.difference is None
    assert found.again is not None and found.again.status is JobStatus.FAILED and found.again.cost_usd == 0


def test_other_users_can_neither_rerun_a_picture_nor_see_its_reruns(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User, other: User, drawn: Image
) -> None:
    studio.reproductions.start(maker, drawn.id, key="press")
    count = len(endpoint.accepted)
    for bad in (drawn.id, "x", f"{keys.new_id()}-0"):
        with pytest.raises(NotFound):
            studio.reproductions.start(other, bad, key="press")
        with pytest.raises(NotFound):
            studio.reproductions.latest(other, bad)
    assert len(endpoint.accepted) == count


@pytest.mark.parametrize("way", ["picture", "job", "everything"])
def test_the_rerun_record_is_erased_with_the_picture(
    studio: Studio, finish: Callable[..., Job], maker: User, drawn: Image, cloud: Any, way: str
) -> None:
    finish(studio.reproductions.start(maker, drawn.id, key="press"), other_pixels)
    studio.reproductions.latest(maker, drawn.id)
    if way == "picture":
        studio.images.delete(maker, drawn.id)
    elif way == "job":
        studio.jobs.delete(maker, drawn.job_id)
    else:
        studio.jobs.delete_all(maker)
        assert _keys(studio, keys.images_prefix(maker.id)) == []
    items = cloud.client("dynamodb").scan(TableName=studio.settings.table)["Items"]
    assert [item for item in items if item["SK"]["S"].startswith(keys.ATTACHED)] == []


def test_a_picture_erased_while_it_is_compared_leaves_no_map(
    studio: Studio, finish: Callable[..., Job], maker: User, drawn: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = finish(studio.reproductions.start(maker, drawn.id, key="press"), other_pixels)
    before = studio.reproductions._objects.put
    fired = []

    def erased_first(*arguments: Any, **named: Any) -> None:
        fired.append(1)
        studio.images.delete(maker, f"{again.id}-0")
        before(*arguments, **named)

    monkeypatch.setattr(studio.reproductions._objects, "put", erased_first)
    with pytest.raises(NotFound):
        studio.reproductions.latest(maker, drawn.id)
    assert fired and _keys(studio, keys.images_prefix(maker.id, again.id)) == []


def test_the_request_rebuilt_from_a_job_creates_the_same_job_again(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User
) -> None:
    asked = JobRequest(
        prompt="a {red} apple",
        seed=7,
        count=2,
        steps=11,
        image=picture(64, 40, 3),
        mask=picture(64, 40, 65535),
        strength=0.4,
        width=96,
    )
    job = studio.jobs.cancel(maker, studio.jobs.submit(maker, asked).id)
    again = studio.jobs.submit(maker, studio.repeats.request(job), idempotency_key="press")
    assert again.id != job.id and again.spec == job.spec
    first, second = (invocation.payload for invocation in endpoint.accepted)
    assert {**first, "job": None} == {**second, "job": None}


def test_a_job_without_its_source_picture_cannot_be_repeated(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User, cloud: Any
) -> None:
    asked = JobRequest(prompt="a red apple", image=picture(64, 64, 3))
    job = studio.jobs.cancel(maker, studio.jobs.submit(maker, asked).id)
    cloud.client("s3").delete_object(
        Bucket=studio.settings.inputs_bucket, Key=keys.input_key(maker.id, job.id, "image")
    )
    with pytest.raises(NotFound) as refused:
        studio.jobs.submit(maker, studio.repeats.request(job))
    assert "no longer stored" in refused.value.message and len(endpoint.accepted) == 1


def test_variations_change_only_the_seed(studio: Studio, maker: User, drawn: Image) -> None:
    job = studio.jobs.get(maker, drawn.job_id)
    asked = studio.repeats.variations(job, 2)
    assert (asked.seed, asked.count) == (10, 2)
    same = {"prompt", "model", "width", "height", "steps", "guidance", "scheduler"}
    assert asked.model_dump(include=same) == job.spec.model_dump(include=same)
    assert studio.repeats.variations(job, 2, skip=2).seed == 12
    last = job.model_copy(update={"spec": job.spec.model_copy(update={"seed": 2**32 - 2})})
    assert studio.repeats.variations(last, 4).seed == 1
