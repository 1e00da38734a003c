"""Tests that the committed weights draw with every scheduler that the studio offers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from inference.contract import Payload
from inference.pipelines.family import Model
from inference.pipelines.found_model import find_model
from inference.pipelines.load_model import load_model
from tests.inference.client import PAYLOAD
from tests.inference.onlookers import Onlooker, draw_alone

WEIGHTS = Path(__file__).resolve().parents[2] / "inference/pocket/weights"
NATIVE = {"width": 128, "height": 128}

# Raised in diffusers' schedulers with numpy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module")
def pocket() -> Model:
    """The built-in model."""
    folder, _ = find_model(WEIGHTS)
    return load_model(folder, threads=1)


def test_the_built_in_model_is_called_pocket(pocket: Model) -> None:
    assert pocket.reference.name == "pocket"


@pytest.mark.parametrize("scheduler", find_model(WEIGHTS)[1].schedulers)
def test_a_red_apple_is_red_and_the_preview_shows_it(pocket: Model, scheduler: str) -> None:
    onlooker = Onlooker(preview_at=8)
    request = Payload(**{**PAYLOAD, **NATIVE, "num_inference_steps": 12, "scheduler": scheduler})

    picture = draw_alone(pocket, request, onlooker).pictures[0]

    for pixels in (picture, onlooker.previews[0]):
        quarter = pixels.shape[0] // 4
        red, green, blue = pixels[quarter:-quarter, quarter:-quarter].astype(float).mean(axis=(0, 1))
        assert red > 120
        assert red > 1.4 * max(green, blue)


@pytest.mark.parametrize(("width", "height"), [(192, 96), (96, 192), (136, 104)])
def test_pocket_draws_other_sizes(pocket: Model, width: int, height: int) -> None:
    request = Payload(**{**PAYLOAD, "width": width, "height": height, "num_inference_steps": 2})

    picture = draw_alone(pocket, request).pictures[0]

    assert picture.shape == (height, width, 3)
    assert picture.dtype == np.uint8
