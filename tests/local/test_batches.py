"""A whole studio as `make run` starts it: jobs sent together are drawn together; variables reach the model server."""

from __future__ import annotations

import io
import json
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from PIL import Image as Pillow

from local.resources import OUTPUTS_BUCKET, client_factory
from tests.running import RunningStudio

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

END_S = 200.0


@pytest.fixture(scope="module")
def webp_studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStudio]:
    """A studio whose model server was told, by the environment of `make run`, to answer with WebP."""
    studio = RunningStudio(tmp_path_factory.mktemp("studio") / "home", INFERENCE_IMAGE_FORMAT="webp")
    yield studio
    studio.stop()


def drawn(studio: RunningStudio, **asked: Any) -> dict[str, Any]:
    job = studio.ask("POST", "/v1/jobs", {"prompt": "a red apple", **asked}, Prefer="wait=60")
    return ended(studio, job)


def ended(studio: RunningStudio, job: dict[str, Any]) -> dict[str, Any]:
    """The job once it has succeeded."""
    deadline = time.monotonic() + END_S
    while job["status"] in ("queued", "starting", "processing"):
        assert time.monotonic() < deadline, job
        time.sleep(0.5)
        job = studio.ask("GET", f"/v1/jobs/{job['id']}")
    assert job["status"] == "succeeded", job
    return job


def test_jobs_sent_while_another_is_drawn_are_drawn_in_one_batch(webp_studio: RunningStudio) -> None:
    drawn(webp_studio, steps=1)  # The model is awake from here on.
    with ThreadPoolExecutor(3) as pool:
        before = webp_studio.ask("POST", "/v1/jobs", {"prompt": "a rocket", "steps": 50, "count": 4})
        together = list(pool.map(lambda seed: drawn(webp_studio, steps=8, seed=seed), (1, 2)))
    assert [job["metrics"]["batch_pictures"] for job in together] == [2, 2]
    assert ended(webp_studio, before)["metrics"]["batch_pictures"] == 4
    # Each is charged its share of the pass: the two shares are equal.
    shares = [job["metrics"]["gpu_s"] for job in together]
    assert shares[0] == pytest.approx(shares[1], rel=0.01)


def test_the_model_servers_variables_reach_it_and_its_webp_is_kept_as_png(webp_studio: RunningStudio) -> None:
    job = drawn(webp_studio, steps=2)
    s3 = client_factory(f"http://localhost:{webp_studio.ports()['cloud']}")("s3")
    keys = [entry["Key"] for entry in s3.list_objects_v2(Bucket=OUTPUTS_BUCKET)["Contents"]]
    [output] = [key for key in keys if key.endswith(f"{job['id']}/1.json")]
    answer = json.loads(s3.get_object(Bucket=OUTPUTS_BUCKET, Key=output)["Body"].read())
    assert [image["format"] for image in answer["images"]] == ["webp"]
    with urllib.request.urlopen(job["output"][0]["url"], timeout=20) as stored:
        png = stored.read()
    with Pillow.open(io.BytesIO(png), formats=["PNG"]) as picture:
        assert picture.size == (64, 64)
