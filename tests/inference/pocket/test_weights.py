"""Tests of the shipped weights: their files, and that their pictures match the prompts."""

from __future__ import annotations

import hashlib
import json
import stat
from itertools import combinations
from typing import Any

import numpy as np
import pytest

from inference.pipelines.found_model import find_model
from inference.pocket.colours import Rgb, hsv
from inference.pocket.folders import CLIP_WEIGHTS, WEIGHTS
from inference.pocket.judge import background_name, foreground_of, thing_tint
from inference.pocket.parts import LARGEST_BYTES, PATH_KEYS, folder_bytes
from inference.pocket.sheets import draw
from tests.inference.pocket.conftest import PROMPTS

# Raised in diffusers' schedulers with numpy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def warm_share(picture: Rgb) -> float:
    """Return the share of the thing's pixels that are yellow to orange, like the cats in this data set."""
    hue, saturation, value = hsv(foreground_of(picture).astype(np.float32) / np.float32(255))
    return float(((hue > 15) & (hue < 60) & (saturation > 0.4) & (value > 0.6)).mean())


def test_the_weights_are_safetensors_only_and_fit_in_40_megabytes_with_those_of_pocket_clip() -> None:
    assert folder_bytes(WEIGHTS) + folder_bytes(CLIP_WEIGHTS) <= LARGEST_BYTES
    suffixes = {file.suffix for file in WEIGHTS.rglob("*") if file.is_file()}
    assert suffixes == {".json", ".safetensors"}


def test_the_weights_are_readable_by_everyone() -> None:
    for file in WEIGHTS.rglob("*"):
        if file.is_file():
            assert file.stat().st_mode & stat.S_IROTH, file


def test_no_configuration_holds_a_path_of_the_machine_that_wrote_it() -> None:
    for file in WEIGHTS.rglob("*config.json"):
        assert not json.loads(file.read_text()).keys() & PATH_KEYS, file


def test_the_weights_are_a_folder_that_the_container_accepts() -> None:
    found, limits = find_model(WEIGHTS)
    assert found.folder.name == "pocket"
    assert limits.native_px == 128
    assert "inpainting" in limits.tasks


def test_the_weights_load_as_a_stock_pipeline(pipe: Any) -> None:
    assert type(pipe).__name__ == "StableDiffusionPipeline"
    index = json.loads((WEIGHTS / "model_index.json").read_text())
    libraries = {entry[0] for entry in index.values() if isinstance(entry, list) and entry[0]}
    assert libraries == {"diffusers", "transformers"}


def test_the_three_prompts_give_three_different_pictures(drawn: dict[str, Rgb]) -> None:
    for first, second in combinations(drawn.values(), 2):
        assert np.abs(first.astype(float) - second.astype(float)).mean() > 10


def test_the_same_seed_draws_the_same_bytes(pipe: Any) -> None:
    once, again = (draw(pipe, PROMPTS[:1], steps=4)[0] for _ in range(2))
    assert hashlib.sha256(once.tobytes()).digest() == hashlib.sha256(again.tobytes()).digest()


def test_another_seed_draws_another_picture(pipe: Any) -> None:
    first, second = (draw(pipe, PROMPTS[:1], steps=4, first_seed=seed)[0] for seed in (1, 2))
    assert not np.array_equal(first, second)


def test_things_cover_part_of_a_white_background(drawn: dict[str, Rgb]) -> None:
    for prompt, picture in drawn.items():
        assert background_name(picture) == "white", prompt
        covered = len(foreground_of(picture)) / (picture.shape[0] * picture.shape[1])
        assert 0.15 < covered < 0.9, f"{prompt}: {covered:.0%} of the picture"


def test_a_red_apple_is_red(drawn: dict[str, Rgb]) -> None:
    tint = thing_tint(drawn["a red apple"])
    assert tint.colour == "red"
    assert tint.hue_share > 0.6


def test_a_grinning_cat_is_mostly_yellow_and_has_darker_eyes_and_mouth(drawn: dict[str, Rgb]) -> None:
    cat = drawn["a grinning cat"]
    assert warm_share(cat) > 0.5
    # Eyes and mouth are in the inner half of the picture and differ from the fur around them.
    quarter = cat.shape[0] // 4
    inner = cat[quarter:-quarter, quarter:-quarter].astype(np.float32) @ np.array(
        [0.299, 0.587, 0.114], np.float32
    )
    assert (inner < np.median(inner) - 50).mean() > 0.02


def test_a_rocket_has_neither_the_colors_of_an_apple_nor_of_a_cat(drawn: dict[str, Rgb]) -> None:
    rocket = foreground_of(drawn["a rocket"]).astype(np.float32) / np.float32(255)
    hue, saturation, _ = hsv(rocket)
    red = ((hue < 20) | (hue > 320)) & (saturation > 0.5)
    # Red fins and a red nose on a pale or dark body.
    assert 0.1 < red.mean() < 0.85
    assert warm_share(drawn["a rocket"]) < 0.4
