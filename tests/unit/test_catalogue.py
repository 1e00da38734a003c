"""Tests that a request is resolved to a complete specification or refused with the parameter to change."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from services.catalogue.cards import CARDS_FILE, MAX_PROMPT_CHARACTERS, Catalogue
from services.errors import InvalidRequest
from services.records import JobRequest

EVERY_MODEL = tuple(tomllib.loads(CARDS_FILE.read_text(encoding="utf-8")))
POCKET = Catalogue.load(frozenset({"pocket"}))
BOTH = Catalogue.load(frozenset({"pocket", "sd-turbo"}))


def test_a_request_with_only_a_prompt_gets_the_cards_defaults_and_a_seed() -> None:
    card = POCKET.card("pocket")
    spec = POCKET.resolve(JobRequest(prompt="a red apple"))
    assert (spec.width, spec.height) == (card.default_width, card.default_height)
    assert spec.steps == card.qualities[card.default_quality]
    assert 0 <= spec.seed < 2**32


def test_requests_without_a_seed_get_different_seeds() -> None:
    seeds = {POCKET.resolve(JobRequest(prompt="x")).seed for _ in range(8)}
    assert len(seeds) > 1


def test_the_quality_sets_the_steps_unless_they_are_given() -> None:
    draft = POCKET.resolve(JobRequest(prompt="x", quality="draft"))
    assert draft.steps == POCKET.card("pocket").qualities["draft"]
    assert POCKET.resolve(JobRequest(prompt="x", quality="draft", steps=33)).steps == 33


def test_markdown_and_newlines_in_a_prompt_are_kept() -> None:
    text = "![x](http://evil) <b>$\\LaTeX$</b>\n**bold** \u202eabc"
    assert POCKET.resolve(JobRequest(prompt=text)).prompt == text


@pytest.mark.parametrize(
    ("changes", "param", "words"),
    [
        ({"prompt": ""}, "prompt", "empty"),
        ({"prompt": " \n\t"}, "prompt", "empty"),
        ({"prompt": "x" * (MAX_PROMPT_CHARACTERS + 1)}, "prompt", "2001 characters"),
        ({"prompt": "a\x00b"}, "prompt", "U+0000"),
        ({"prompt": "a\x1b[31m"}, "prompt", "U+001B"),
        ({"prompt": "a\x9f"}, "prompt", "U+009F"),
        ({"prompt": "a\ud800"}, "prompt", "surrogate"),
        ({"negative_prompt": "\x07"}, "negative_prompt", "U+0007"),
        ({"model": "dall-e"}, "model", "pocket"),
        ({"model": "sdxl"}, "model", "pocket"),
        ({"model": ""}, "model", "pocket"),
        ({"width": 65}, "width", "steps of 8"),
        ({"width": 0}, "width", "96 to 192"),
        ({"height": -64}, "height", "96 to 192"),
        ({"height": 4096}, "height", "96 to 192"),
        ({"steps": 0}, "steps", "1 to 50"),
        ({"steps": 51}, "steps", "1 to 50"),
        ({"guidance": float("nan")}, "guidance", "1 to 12"),
        ({"guidance": 99.0}, "guidance", "1 to 12"),
        ({"scheduler": "magic"}, "scheduler", "ddim"),
        ({"quality": "ultra"}, "quality", "draft"),
        ({"count": 0}, "count", "1 to 4"),
        ({"count": 99}, "count", "1 to 4"),
        ({"seed": -1}, "seed", "4294967295"),
        ({"seed": 2**32}, "seed", "4294967295"),
    ],
)
def test_an_invalid_value_is_refused_with_its_parameter_and_a_remedy(
    changes: dict[str, Any], param: str, words: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        POCKET.resolve(JobRequest(**{"prompt": "x", **changes}))
    assert caught.value.param == param
    assert words in caught.value.message


def test_the_longest_prompt_and_the_largest_seed_are_accepted() -> None:
    spec = POCKET.resolve(JobRequest(prompt="x" * MAX_PROMPT_CHARACTERS, seed=2**32 - 1))
    assert spec.seed == 2**32 - 1


def test_a_negative_prompt_is_refused_if_the_model_does_not_support_it() -> None:
    with pytest.raises(InvalidRequest) as caught:
        BOTH.resolve(JobRequest(prompt="x", negative_prompt="blurry", model="sd-turbo"))
    assert caught.value.param == "negative_prompt"


def test_only_offered_models_are_listed_and_the_default_comes_first() -> None:
    assert [card.id for card in POCKET.models()] == ["pocket"]
    assert [card.id for card in BOTH.models()] == ["pocket", "sd-turbo"]


def test_an_offered_model_without_a_card_is_an_error_at_startup() -> None:
    with pytest.raises(ValueError, match="no-such"):
        Catalogue.load(frozenset({"no-such"}))


@pytest.mark.parametrize("model", EVERY_MODEL)
def test_every_card_accepts_its_own_presets_and_defaults(model: str) -> None:
    catalogue = Catalogue.load(frozenset({model}))
    card = catalogue.card(model)
    for size in card.sizes:
        catalogue.resolve(JobRequest(prompt="x", width=size.width, height=size.height))
    for quality in card.qualities:
        catalogue.resolve(JobRequest(prompt="x", quality=quality))
    for scheduler in card.schedulers:
        catalogue.resolve(JobRequest(prompt="x", scheduler=scheduler))
    catalogue.resolve(JobRequest(prompt="x", steps=card.default_steps, guidance=card.default_guidance))


def test_cards_that_are_nested_too_deeply_are_an_error_with_the_files_name(tmp_path: Path) -> None:
    file = tmp_path / "cards.toml"
    file.write_text(f"pocket = {'[' * 5000}{']' * 5000}")
    with pytest.raises(ValueError, match=r"cards\.toml is nested too deeply"):
        Catalogue.load(frozenset({"pocket"}), file)
