"""The choice of a model, with its abilities, price, and time from its card."""

from __future__ import annotations

import streamlit as st

from app.i18n.texts import tr
from app.i18n.wording import about, dollars, duration
from app.state import form_values as form
from app.ui.create.field_errors import FieldErrors
from services.build import Studio
from services.catalogue.cards import ModelCard
from services.records import JobRequest


def model_picker(studio: Studio, cards: dict[str, ModelCard], field_errors: FieldErrors) -> None:
    """Draws the choice and the chosen model's abilities; with several models, also a comparison."""
    card = cards[st.session_state["g_model"]]
    st.selectbox(
        tr("Model"),
        list(cards),
        key="g_model",
        format_func=lambda model: cards[model].name,
        on_change=lambda: form.change_model(cards[st.session_state["g_model"]]),
        help=f"{tr(card.description)} {abilities(card)}",
    )
    st.caption(_price(studio, card))
    if len(cards) > 1:
        with st.popover(
            tr("Compare the models"), icon=":material/compare:", type="tertiary", key="models_box"
        ):
            for other in cards.values():
                st.markdown(f"**{other.name}**")
                for words in (tr(other.description), abilities(other), _price(studio, other)):
                    st.caption(words)
    field_errors.by_param["model"] = st.empty()


def _price(studio: Studio, card: ModelCard) -> str:
    estimate = studio.jobs.estimate(JobRequest(prompt="", model=card.id))
    price, time = about(dollars(estimate.cost_usd)), about(duration(estimate.run_s))
    return tr("{price} and {time} per picture", price=price[0].upper() + price[1:], time=time).replace(
        "$", "\\$"
    )


def abilities(card: ModelCard) -> str:
    """Describes a model's abilities in two sentences."""
    if card.image_to_image and card.inpainting:
        ways = tr("Text-to-image, image-to-image, and inpainting")
    elif card.image_to_image:
        ways = tr("Text-to-image and image-to-image")
    elif card.inpainting:
        ways = tr("Text-to-image and inpainting")
    else:
        ways = tr("Text-to-image only")
    negative = tr("supports negative prompts") if card.negative_prompt else tr("no negative prompts")
    return tr(
        "{ways}; {negative}. {least} to {most} px per side, up to {count} pictures at once.",
        ways=ways,
        negative=negative,
        least=card.min_px,
        most=card.max_px,
        count=card.max_count,
    )
