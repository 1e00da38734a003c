"""Tests that the stub model server of the browser tests keeps the container contract (docs/contracts.md)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from local.resources import OUTPUTS_BUCKET, Resources
from services.backends.container_contract import Succeeded
from tests.cloud import EmbeddedCloud
from tests.stub import model

PAYLOAD: dict[str, Any] = {
    "prompt": "a red apple",
    "negative_prompt": "",
    "width": 64,
    "height": 48,
    "num_inference_steps": 9,
    "guidance_scale": 4.0,
    "scheduler": "ddim",
    "seed": 2**32 - 1,
    "num_images_per_prompt": 2,
    "deadline_s": 60.0,
    "job": {"bucket": OUTPUTS_BUCKET, "prefix": "user/job", "attempt": 1},
}


@pytest.fixture
def s3(cloud: EmbeddedCloud, resources: Resources) -> Any:
    return cloud.client("s3")


def test_the_pictures_have_the_requested_size_and_seeds(s3: Any) -> None:
    answer = Succeeded.model_validate(model.draw(PAYLOAD, s3))
    assert [image.seed for image in answer.images] == [2**32 - 1, 0]
    for image in answer.images:
        assert image.png(64, 48)
    again = Succeeded.model_validate(model.draw(PAYLOAD, s3))
    assert [image.data for image in again.images] == [image.data for image in answer.images]
    assert answer.images[0].data != answer.images[1].data


def test_the_stub_writes_its_progress_and_a_preview(s3: Any) -> None:
    model.draw(PAYLOAD, s3)
    written = s3.get_object(Bucket=OUTPUTS_BUCKET, Key="user/job/1.progress.json")["Body"].read()
    progress = json.loads(written)
    assert (progress["step"], progress["steps"]) == (8, 9)
    preview = s3.get_object(Bucket=OUTPUTS_BUCKET, Key="user/job/1.preview.webp")["Body"].read()
    assert preview.startswith(b"RIFF") and preview[8:12] == b"WEBP"


def test_the_stub_stops_at_the_cancel_marker(s3: Any) -> None:
    s3.put_object(Bucket=OUTPUTS_BUCKET, Key="user/job/cancel", Body=b"")
    assert model.draw(PAYLOAD, s3) == {"status": "canceled", "step": 0, "gpu_s": 0.0}


@pytest.mark.parametrize(
    ("payload", "param"),
    [
        (PAYLOAD | {"sampler": "ddim"}, "sampler"),
        ({name: PAYLOAD[name] for name in PAYLOAD if name != "seed"}, None),
    ],
)
def test_a_payload_outside_the_contract_is_refused(
    s3: Any, payload: dict[str, Any], param: str | None
) -> None:
    with pytest.raises(model.Refused) as refused:
        model.draw(payload, s3)
    assert refused.value.param == param
