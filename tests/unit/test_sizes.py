"""Tests of preset sizes, which are derived from a card's limits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.catalogue.cards import Catalogue, ModelCard
from services.catalogue.sizes import RATIOS, preset_sizes, turned

CATALOGUE = Catalogue.load(frozenset({"pocket", "sd-turbo", "sdxl"}))


@pytest.mark.parametrize("card", CATALOGUE.models(), ids=lambda card: card.id)
def test_every_preset_is_within_the_limits_and_near_the_native_pixel_count(card: ModelCard) -> None:
    native = card.default_width * card.default_height
    for size in card.sizes:
        assert all(card.min_px <= side <= card.max_px for side in (size.width, size.height))
        assert size.width % card.grid_px == size.height % card.grid_px == 0
        assert 0.9 <= size.width * size.height / native <= 1.1
        wide, high = (int(part) for part in size.label.split(":"))
        assert size.width / size.height == pytest.approx(wide / high, rel=0.05)


@pytest.mark.parametrize("card", CATALOGUE.models(), ids=lambda card: card.id)
def test_the_native_size_comes_first_and_every_shape_has_its_rotated_form(card: ModelCard) -> None:
    assert card.sizes[0][1:] == (card.default_width, card.default_height)
    by_label = {size.label: size for size in card.sizes}
    for label, size in by_label.items():
        assert by_label[turned(label)][1:] == (size.height, size.width)


def test_only_ratios_outside_the_limits_are_omitted() -> None:
    every = {f"{a}:{b}" for pair in RATIOS for a, b in (pair, pair[::-1])}
    assert {size.label for size in CATALOGUE.card("sdxl").sizes} == every
    # 21:9 with the pixel count of 128 x 128 would be 84 high, and the minimum is 96.
    assert {size.label for size in CATALOGUE.card("pocket").sizes} == every - {"21:9", "9:21"}


def test_a_model_with_an_unusual_native_shape_offers_it_first() -> None:
    sizes = preset_sizes((832, 1152), min_px=512, max_px=1536, grid_px=64)
    assert sizes[0] == ("13:18", 832, 1152)
    assert [size.label for size in sizes][1:4] == ["1:1", "4:3", "3:4"]


@given(
    st.sampled_from([8, 16, 32, 64]),
    st.integers(4, 24),
    st.integers(4, 24),
    st.integers(0, 4),
    st.integers(0, 40),
)
def test_presets_stay_within_the_limits_of_any_card(
    grid: int, across: int, down: int, less: int, more: int
) -> None:
    low, high = (min(across, down) - less) * grid, (max(across, down) + more) * grid
    if low <= 0:
        return
    sizes = preset_sizes((across * grid, down * grid), min_px=low, max_px=high, grid_px=grid)
    assert len({size.label for size in sizes}) == len(sizes)
    for size in sizes:
        assert low <= size.width <= high and low <= size.height <= high
        assert size.width % grid == size.height % grid == 0
