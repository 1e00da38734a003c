"""Tests of the real inference server behind the local endpoint."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from io import BytesIO

import pytest
from PIL import Image

from local.processes import INFERENCE_PYTHON, ROOT
from local.resources import Resources
from tests.cloud import EmbeddedCloud
from tests.local.sagemaker.running import OUTPUTS, RunningEndpoint

WEIGHTS = ROOT / "inference/pocket/weights"


@pytest.fixture
def real_endpoint(
    cloud_process: EmbeddedCloud, resources: Resources, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningEndpoint]:
    """An endpoint with the built-in model, configured as the launcher does."""
    endpoint = RunningEndpoint(cloud_process, tmp_path_factory.mktemp("real"), start=False)
    endpoint.queue_url = resources.results_queue_url
    [plain] = [entry for entry in endpoint.settings["endpoints"] if entry["name"] == "plain"]
    del plain["command"]
    endpoint.settings["endpoints"] = [{**plain, "model_dir": "inference/pocket/weights"}]
    endpoint.settings["inference"] |= {"python": str(INFERENCE_PYTHON), "start_timeout_s": 90}
    endpoint.start()
    yield endpoint
    endpoint.stop()


@pytest.mark.wire
@pytest.mark.slow
def test_the_built_in_model_draws_a_picture_and_refuses_an_unknown_parameter(
    real_endpoint: RunningEndpoint,
) -> None:
    payload = {
        "prompt": "a red apple",
        "width": 128,
        "height": 128,
        "num_inference_steps": 4,
        "guidance_scale": 4.0,
        "scheduler": "ddim",
        "seed": 7,
        "num_images_per_prompt": 1,
        "job": {"bucket": OUTPUTS, "prefix": "u/j", "attempt": 1},
    }
    drawn, refused = (
        real_endpoint.runtime.invoke_endpoint_async(
            EndpointName="plain",
            Body=json.dumps(body).encode(),
            ContentType="application/json",
            S3OutputPathExtension="u/j",
            Filename=filename,
        )
        for body, filename in [(payload, "1.json"), ({**payload, "nonsense": 1}, "2.json")]
    )

    success, failure = real_endpoint.notices(2, timeout_s=90)

    assert success["invocationStatus"] == "Completed", success
    body, content_type = real_endpoint.object(drawn["OutputLocation"])
    result = json.loads(body)
    assert content_type == "application/json"
    assert result["status"] == "succeeded"
    png = base64.b64decode(result["images"][0]["data"])
    assert hashlib.sha256(png).hexdigest() == result["images"][0]["sha256"]
    assert Image.open(BytesIO(png), formats=["PNG"]).size == (128, 128)

    assert "Received client error (400) from model" in failure["failureReason"]
    error = json.loads(real_endpoint.object(refused["FailureLocation"])[0])["error"]
    assert (error["code"], error["param"]) == ("invalid_request", "nonsense")
