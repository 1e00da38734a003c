"""Tests of fitting a recipe to a model's card: valid values stay, others move to the nearest with a remark."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.catalogue.cards import Catalogue, ModelCard
from services.errors import InvalidRequest
from services.recipes.fit_to_model import fit
from services.recipes.recipe import Recipe
from services.records import JobRequest

CATALOGUE = Catalogue.load(frozenset({"pocket", "sd-turbo", "sdxl"}))
POCKET, TURBO, SDXL = (CATALOGUE.card(name) for name in ("pocket", "sd-turbo", "sdxl"))


def size_of(width: int, height: int, card: ModelCard) -> tuple[int, int] | None:
    fitted = fit(Recipe(source="A1111", width=width, height=height), card, CATALOGUE.models())
    # A remark exists exactly if the size changed.
    assert bool(fitted.remarks) == (fitted.size != (width, height))
    return fitted.size


def test_values_within_the_cards_limits_are_kept_without_a_remark() -> None:
    recipe = Recipe(
        source="Atelier",
        prompt="a cat",
        seed=7,
        steps=12,
        guidance=4,
        sampler="ddim",
        scheduler="ddim",
        model="Pocket",
    )
    fitted = fit(recipe, POCKET, CATALOGUE.models())
    assert (fitted.prompt, fitted.seed, fitted.steps, fitted.guidance, fitted.scheduler) == (
        "a cat",
        7,
        12,
        4,
        "ddim",
    )
    assert fitted.remarks == () and fitted.card is POCKET
    assert (fitted.negative_prompt, fitted.size) == (None, None)


@pytest.mark.parametrize(
    ("width", "height", "card", "wanted"),
    [
        (128, 96, POCKET, (128, 96)),
        (512, 512, POCKET, (128, 128)),
        (1024, 768, POCKET, (152, 112)),
        (100, 130, POCKET, (96, 128)),
        (3000, 100, POCKET, (192, 96)),
        (1920, 1080, SDXL, (1368, 768)),
        (512, 704, SDXL, (512, 704)),
        (64, 60, SDXL, (544, 512)),
        (2048, 2048, SDXL, (1024, 1024)),
    ],
)
def test_a_size_outside_the_limits_keeps_its_aspect_ratio(
    width: int, height: int, card: ModelCard, wanted: tuple[int, int]
) -> None:
    assert size_of(width, height, card) == wanted


def test_numbers_outside_the_limits_move_to_the_nearest_value_with_a_remark() -> None:
    fitted = fit(Recipe(source="A1111", steps=150, guidance=0.5), POCKET, CATALOGUE.models())
    assert (fitted.steps, fitted.guidance) == (50, 1.0)
    assert [("150 becomes 50" in r, "0.5 becomes 1" in r) for r in fitted.remarks] == [
        (True, False),
        (False, True),
    ]


def test_an_offered_model_is_selected_and_an_unknown_one_is_named_in_a_remark() -> None:
    other = fit(Recipe(source="A1111", model="SDXL"), POCKET, CATALOGUE.models())
    assert other.card is SDXL and "made with Stable Diffusion XL" in other.remarks[0]
    fitted = fit(Recipe(source="A1111", model="dreamshaper_8"), POCKET, CATALOGUE.models())
    assert fitted.card is POCKET
    assert fitted.remarks == ("The model dreamshaper_8 is not offered here; Pocket stays chosen.",)


def test_values_without_a_nearest_one_are_omitted_with_a_remark() -> None:
    recipe = Recipe(
        source="ComfyUI",
        prompt="x" * 2001,
        negative_prompt="blurry",
        sampler="dpmpp_2m karras",
        seed=2**40,
        drawn_over=True,
    )
    fitted = fit(recipe, TURBO, CATALOGUE.models())
    assert (fitted.negative_prompt, fitted.scheduler, fitted.seed) == (None, None, None)
    assert fitted.prompt == "x" * 2001
    said = "\n".join(fitted.remarks)
    for words in (
        "no negative prompt",
        "no scheduler dpmpp_2m karras",
        str(2**40),
        "2001 characters",
        "over another",
    ):
        assert words in said


@given(
    st.builds(
        Recipe,
        source=st.just("A1111"),
        prompt=st.just("a cat"),
        width=st.integers(1, 65_535),
        height=st.integers(1, 65_535),
        steps=st.integers(1, 10_000),
        guidance=st.floats(0, 1000),
        seed=st.integers(0, 2**64 - 1),
        scheduler=st.sampled_from(["ddim", "euler", "unipc", "dpmpp_2m", None]),
    ),
    st.sampled_from([POCKET, TURBO, SDXL]),
)
@settings(max_examples=200)
def test_a_fitted_recipe_is_always_accepted_by_its_card(recipe: Recipe, card: ModelCard) -> None:
    fitted = fit(recipe, card, CATALOGUE.models())
    assert fitted.size is not None
    request = JobRequest(
        prompt=fitted.prompt or "",
        model=card.id,
        width=fitted.size[0],
        height=fitted.size[1],
        steps=fitted.steps,
        guidance=fitted.guidance,
        scheduler=fitted.scheduler,
        seed=fitted.seed,
    )
    try:
        CATALOGUE.resolve(request)
    except InvalidRequest as refused:  # pragma: no cover - shows why the test failed
        pytest.fail(refused.message)
