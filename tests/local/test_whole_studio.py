"""Tests of a whole studio started by `make run`: batches, the model server's variables, image-to-image, inpainting."""

from __future__ import annotations

import base64
import io
import json
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from PIL import Image as Pillow
from PIL import ImageChops, ImageStat

from local.resources import IMAGES_BUCKET, OUTPUTS_BUCKET, client_factory
from tests.running import RunningStudio

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

END_S = 200.0


@pytest.fixture(scope="module")
def webp_studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStudio]:
    """A studio whose model server answers with WebP, as set in the environment of `make run`."""
    studio = RunningStudio(tmp_path_factory.mktemp("studio") / "home", INFERENCE_IMAGE_FORMAT="webp")
    yield studio
    studio.stop()


def drawn(studio: RunningStudio, **asked: Any) -> dict[str, Any]:
    job = studio.ask("POST", "/v1/jobs", {"prompt": "a red apple", **asked}, Prefer="wait=60")
    job = ended(studio, job)
    assert job["status"] == "succeeded", (job["status"], job["error"])
    return job


def ended(studio: RunningStudio, job: dict[str, Any]) -> dict[str, Any]:
    """Wait for the job to end and return it."""
    deadline = time.monotonic() + END_S
    while job["status"] in ("queued", "starting", "processing"):
        assert time.monotonic() < deadline, job
        time.sleep(0.5)
        job = studio.ask("GET", f"/v1/jobs/{job['id']}")
    return job


def stored_png(job: dict[str, Any]) -> bytes:
    with urllib.request.urlopen(job["output"][0]["url"], timeout=20) as stored:
        png: bytes = stored.read()
    return png


def difference(left: bytes, right: bytes, box: tuple[int, int, int, int] = (0, 0, 128, 128)) -> float:
    """Mean absolute difference of the two pictures' channels inside `box`, on a scale of 0 to 255."""
    pictures = [Pillow.open(io.BytesIO(png)).convert("RGB").crop(box) for png in (left, right)]
    return sum(ImageStat.Stat(ImageChops.difference(*pictures)).mean) / 3


def test_jobs_submitted_while_another_is_drawn_are_drawn_in_one_batch(webp_studio: RunningStudio) -> None:
    drawn(webp_studio, steps=1)  # The model is awake from here on.
    with ThreadPoolExecutor(3) as pool:
        before = webp_studio.ask("POST", "/v1/jobs", {"prompt": "a rocket", "steps": 50, "count": 4})
        together = list(pool.map(lambda seed: drawn(webp_studio, steps=8, seed=seed), (1, 2)))
    assert [job["metrics"]["batch_pictures"] for job in together] == [2, 2]
    before = ended(webp_studio, before)
    assert (before["status"], before["metrics"]["batch_pictures"]) == ("succeeded", 4)
    # Each job is charged its share of the pass, and the two shares are equal.
    shares = [job["metrics"]["gpu_s"] for job in together]
    assert shares[0] == pytest.approx(shares[1], rel=0.01)


def test_the_model_server_gets_its_variables_and_its_webp_is_stored_as_png(
    webp_studio: RunningStudio,
) -> None:
    job = drawn(webp_studio, steps=2)
    s3 = client_factory(f"http://localhost:{webp_studio.ports()['cloud']}")("s3")
    keys = [entry["Key"] for entry in s3.list_objects_v2(Bucket=OUTPUTS_BUCKET)["Contents"]]
    [output] = [key for key in keys if key.endswith(f"{job['id']}/1.json")]
    answer = json.loads(s3.get_object(Bucket=OUTPUTS_BUCKET, Key=output)["Body"].read())
    assert [image["format"] for image in answer["images"]] == ["webp"]
    with Pillow.open(io.BytesIO(stored_png(job)), formats=["PNG"]) as picture:
        assert picture.size == (128, 128)


def test_a_link_that_is_signed_with_a_known_secret_is_refused(webp_studio: RunningStudio) -> None:
    link = drawn(webp_studio, steps=1)["output"][0]["url"]
    key = urlsplit(link).path.removeprefix(f"/{IMAGES_BUCKET}/")
    s3 = client_factory(f"http://localhost:{webp_studio.ports()['cloud']}")("s3")
    forged = s3.generate_presigned_url("get_object", Params={"Bucket": IMAGES_BUCKET, "Key": key})
    assert urlsplit(forged).path == urlsplit(link).path
    assert httpx.get(link).status_code == 200
    assert httpx.get(forged).status_code == 403


def test_a_higher_strength_changes_the_source_picture_more(webp_studio: RunningStudio) -> None:
    source = stored_png(drawn(webp_studio, steps=8, seed=1))
    image = base64.b64encode(source).decode()
    weak, strong = (
        drawn(webp_studio, prompt="a rocket", steps=20, seed=2, image=image, strength=strength)
        for strength in (0.1, 1.0)
    )
    assert weak["input"]["task"] == "image-to-image"
    assert difference(source, stored_png(weak)) < difference(source, stored_png(strong)) / 2


def test_only_the_white_area_of_the_mask_is_redrawn(webp_studio: RunningStudio) -> None:
    source = stored_png(drawn(webp_studio, steps=8, seed=1))
    mask, target = Pillow.new("L", (128, 128), 0), io.BytesIO()
    mask.paste(255, (64, 0, 128, 128))
    mask.save(target, "PNG")
    files = {"image": source, "mask": target.getvalue()}
    asked = {name: base64.b64encode(file).decode() for name, file in files.items()} | {"strength": 1.0}
    body = {"prompt": "a rocket", "steps": 20, "seed": 2, **asked}
    job = ended(webp_studio, webp_studio.ask("POST", "/v1/jobs", body))
    assert job["input"]["task"] == "inpainting"
    assert job["status"] == "succeeded", job["error"]
    assert difference(source, stored_png(job), (0, 0, 56, 128)) <= 1
    assert difference(source, stored_png(job), (72, 0, 128, 128)) > 5
