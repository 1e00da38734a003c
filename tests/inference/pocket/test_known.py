"""Tests of hints: which prompts are far from what a model knows, and the file in its folder."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from inference.errors import StartError
from inference.pipelines.found_model import find_model
from inference.pocket.clip_known import calibrate, write_known
from inference.pocket.errors import PocketError
from inference.pocket.folders import HERE
from inference.pocket.known import FILE, Known
from inference.pocket.parts import open_pipeline
from tests.inference.tiny_model import make_tiny_model


@pytest.fixture(scope="module")
def names() -> list[str]:
    """The things of the selection that the shipped weights were trained on."""
    selection = tomllib.loads((HERE / "selection.toml").read_text(encoding="utf-8"))
    return list(selection["everyday"]["names"])


@pytest.fixture(scope="module")
def known(names: list[str], tmp_path_factory: pytest.TempPathFactory) -> Known:
    """A model's knowledge of these things."""
    folder = tmp_path_factory.mktemp("model")
    write_known(folder, names)
    found = Known.open(folder)
    assert found is not None
    return found


@pytest.mark.parametrize(
    "prompt",
    [
        "quantum chromodynamics",
        "the theory of relativity",
        "tax return",
        "blorf snizzle",
        "democracy",
        "",
        "?!",
    ],
)
def test_a_prompt_far_from_everything_gets_a_hint(known: Known, names: list[str], prompt: str) -> None:
    hint = known.hint(prompt)
    assert hint is not None
    assert len(hint.nearest) == 3
    assert set(hint.nearest) <= set(names)
    assert 0 <= hint.likeness < known.far_below


@pytest.mark.parametrize(
    "prompt",
    [
        "a red apple, 3d style",
        "kitten",
        "a green fox on a purple background",
        "flat icon of a rocket",
        "two kittens",
        "a sailboat on the sea at night",
    ],
)
def test_a_prompt_about_a_known_thing_gets_no_hint(known: Known, prompt: str) -> None:
    assert known.hint(prompt) is None


def test_the_nearest_thing_to_its_own_name_is_itself(known: Known, names: list[str]) -> None:
    for name in names:
        found = known.nearest(f"a {name}")
        assert found.likeness > 0.9
        assert name in found.nearest


def test_the_distance_threshold_depends_on_the_models_concepts(tmp_path: Path) -> None:
    write_known(tmp_path, ["banana", "mango", "lemon"])
    fruit = Known.open(tmp_path)
    assert fruit is not None
    assert fruit.hint("a yellow fruit") is None
    hint = fruit.hint("a police car")
    assert hint is not None
    assert sorted(hint.nearest) == ["banana", "lemon", "mango"]


def test_the_threshold_is_measured_and_rarely_wrong(known: Known, names: list[str]) -> None:
    found = calibrate(known, names)
    assert found.near >= 150
    assert found.far >= 80
    assert found.far_below == pytest.approx(known.far_below, abs=0.001)
    assert found.false_alarms < 0.12
    assert found.misses < 0.2


def test_a_folder_without_known_concepts_gives_no_hints(tmp_path: Path) -> None:
    assert Known.open(tmp_path) is None


@pytest.mark.parametrize(
    "text", ["", "{}", '{"far_below": "x", "things": []}', '{"far_below": 0.5, "things": []}']
)
def test_a_broken_file_is_named_at_start(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(StartError, match=r"known\.json"):
        Known.open(tmp_path)


def test_without_the_table_of_words_the_start_fails(tmp_path: Path) -> None:
    write_known(tmp_path, ["banana", "mango", "lemon"])
    with pytest.raises(StartError, match="table of words"):
        Known.open(tmp_path, words_folder=tmp_path / "nowhere")


def test_a_thing_that_pocket_clip_does_not_know_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PocketError, match="sonic screwdriver"):
        write_known(tmp_path, ["banana", "sonic screwdriver"])
    assert not (tmp_path / FILE).exists()


def test_a_model_folder_with_known_json_still_loads(tmp_path: Path) -> None:
    folder = make_tiny_model(tmp_path / "tiny")
    write_known(folder, ["banana", "mango", "lemon"])
    assert json.loads((folder / FILE).read_text())["things"][0]["name"] == "lemon"
    find_model(folder)
    assert type(open_pipeline(folder)).__name__ == "StableDiffusionPipeline"
