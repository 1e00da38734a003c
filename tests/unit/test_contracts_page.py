"""Tests that the studio sends and accepts what docs/contracts.md says; tests/inference tests the container's side."""

from __future__ import annotations

import json
import re
from pathlib import Path

from services.backends.container_contract import Succeeded, payload
from services.store.keys import inference_id, split_inference_id
from tests.unit.made import made_job

PAGE = (Path(__file__).parents[2] / "docs/contracts.md").read_text(encoding="utf-8")


def test_the_payload_matches_the_example_on_the_page() -> None:
    block = re.search(r"## Payload.*?```json\n(.*?)```", PAGE, re.DOTALL)
    assert block
    example = json.loads(block[1])
    sent = json.loads(
        payload(
            made_job(),
            outputs_bucket="<outputs bucket>",
            prefix="<user>/<job>",
            deadline_s=895.0,
            pictures={},
        )
    )
    assert sent == example


def test_the_response_example_on_the_page_is_parsed() -> None:
    section = PAGE.split("## Answer")[1]
    line = re.search(r'200: `(\{"status": "succeeded".*?\})`\n', section, re.DOTALL)
    assert line
    answer = Succeeded.model_validate_json(line[1].replace("\n", " "))
    assert answer.gpu_s == 1.0
    assert answer.timings.denoise_s == 0.9


def test_an_inference_id_can_be_split_again_and_fits_into_64_characters() -> None:
    made = inference_id("a" * 32, made_job().id, 999)
    assert len(made) <= 64
    assert split_inference_id(made) == ("a" * 32, made_job().id, 999)
    assert split_inference_id(made + "x") is None
