"""Tests of the size picker: shapes, rotation, custom sizes with a fixed aspect ratio, and model abilities."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from app.ui.create.model_picker import abilities
from services.build import Studio
from services.catalogue.cards import Catalogue
from services.records import Job, User
from tests.ui.conftest import words


def test_the_cards_shapes_are_offered_in_one_orientation_and_can_be_rotated(
    open_page: Callable[..., AppTest],
) -> None:
    at = open_page()
    assert at.segmented_control(key="g_size").options == ["1:1", "4:3", "3:2", "16:9", "Custom"]
    at.button(key="swap_size").click().run()
    assert at.segmented_control(key="g_size").options == ["1:1", "3:4", "2:3", "9:16", "Custom"]
    at.segmented_control(key="g_size").set_value("9:16").run()
    assert "96 x 168 px" in words(at) and "It learned at 128 x 128" in words(at)
    at.button(key="swap_size").click().run()
    assert at.session_state["g_size"] == "16:9" and "168 x 96 px" in words(at)
    assert not at.exception


def test_a_custom_size_starts_from_the_chosen_shape_and_can_be_locked_and_rotated(
    open_page: Callable[..., AppTest],
) -> None:
    at = open_page()
    at.segmented_control(key="g_size").set_value("3:2").run()
    at.segmented_control(key="g_size").set_value("Custom").run()
    sides = lambda: (at.number_input(key="g_width").value, at.number_input(key="g_height").value)  # noqa: E731
    assert sides() == (160, 104)
    at.checkbox(key="g_lock").set_value(True).run()
    at.number_input(key="g_width").set_value(192).run()
    assert sides() == (192, 128)
    at.number_input(key="g_height").set_value(96).run()
    assert sides() == (144, 96)
    at.button(key="swap_size").click().run()
    assert sides() == (96, 144)
    at.number_input(key="g_width").set_value(120).run()
    assert sides() == (120, 176)
    at.checkbox(key="g_lock").set_value(False).run()
    at.number_input(key="g_width").set_value(96).run()
    assert sides() == (96, 176)
    at.number_input(key="g_width").set_value(None).run()
    assert not at.exception


def test_recalling_a_portrait_picture_offers_portrait_shapes(
    open_page: Callable[..., AppTest], draw: Callable[..., Job], studio: Studio, maker: User
) -> None:
    job = draw("a red apple", width=104, height=160)
    at = open_page()
    at.button(key=f"remix_{job.id}").click().run()
    assert at.session_state["g_size"] == "2:3"
    assert "2:3" in at.segmented_control(key="g_size").options


def test_the_negative_prompt_expands_when_a_recalled_job_fills_it(
    open_page: Callable[..., AppTest], draw: Callable[..., Job]
) -> None:
    job = draw("a red apple", negative_prompt="blurry")
    at = open_page()
    assert not at.session_state["negative_box"]
    at.button(key=f"remix_{job.id}").click().run()
    assert at.session_state["negative_box"] and at.text_area(key="g_negative").value == "blurry"


def test_icon_buttons_have_labels(open_page: Callable[..., AppTest]) -> None:
    at = open_page()
    for key in ("roll", "unroll", "swap_size"):
        assert at.button(key=key).label


@pytest.mark.parametrize("model", ["pocket", "sd-turbo", "sdxl"])
def test_the_abilities_text_follows_the_models_card(model: str) -> None:
    card = Catalogue.load(frozenset({model})).card(model)
    said = abilities(card)
    assert said.startswith("Text-to-image, image-to-image, and inpainting;")
    assert ("supports negative prompts" in said) == card.negative_prompt
    assert f"{card.min_px} to {card.max_px} px" in said
    plain = abilities(card.model_copy(update={"image_to_image": False, "inpainting": False}))
    assert plain.startswith("Text-to-image only;")


def test_price_and_duration_per_picture_are_shown_at_the_model(open_page: Callable[..., AppTest]) -> None:
    at = open_page()
    [said] = [caption.value for caption in at.caption if caption.value.endswith("per picture")]
    assert "\\$" in said and " s per picture" in said
    assert "px per side" in at.selectbox(key="g_model").help
