"""Recipes put to a model's card: what fits stays, what does not goes to the nearest value, and it is said."""

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
STEADY = settings(derandomize=True, database=None, deadline=None)


def size_of(width: int, height: int, card: ModelCard) -> tuple[int, int] | None:
    fitted = fit(Recipe(source="A1111", width=width, height=height), card, CATALOGUE.models())
    # What is changed is said, what is not changed is not.
    assert bool(fitted.remarks) == (fitted.size != (width, height))
    return fitted.size


def test_what_the_card_can_do_stays_and_nothing_is_said() -> None:
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
def test_a_size_off_the_limits_keeps_its_shape(
    width: int, height: int, card: ModelCard, wanted: tuple[int, int]
) -> None:
    assert size_of(width, height, card) == wanted


def test_numbers_go_to_the_nearest_possible_and_it_is_said() -> None:
    fitted = fit(Recipe(source="A1111", steps=150, guidance=0.5), POCKET, CATALOGUE.models())
    assert (fitted.steps, fitted.guidance) == (50, 1.0)
    assert [("150 becomes 50" in r, "0.5 becomes 1" in r) for r in fitted.remarks] == [
        (True, False),
        (False, True),
    ]


def test_a_model_that_is_offered_is_chosen_and_another_is_named() -> None:
    other = fit(Recipe(source="A1111", model="SDXL"), POCKET, CATALOGUE.models())
    assert other.card is SDXL and "made with Stable Diffusion XL" in other.remarks[0]
    fitted = fit(Recipe(source="A1111", model="dreamshaper_8"), POCKET, CATALOGUE.models())
    assert fitted.card is POCKET
    assert fitted.remarks == ("The model dreamshaper_8 is not offered here; Pocket stays chosen.",)


def test_what_has_no_nearest_value_is_left_and_named() -> None:
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
@settings(STEADY, max_examples=200)
def test_whatever_a_file_says_the_card_takes_what_comes_out(recipe: Recipe, card: ModelCard) -> None:
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
    except InvalidRequest as refused:  # pragma: no cover - the failure's own words
        pytest.fail(refused.message)
