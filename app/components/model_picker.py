"""The choice of a model, with what each can do, costs and takes by its card."""

from __future__ import annotations

import streamlit as st

from app.components import form_values as form
from app.components.slots import Slots
from app.wording import about, dollars, duration
from services.build import Studio
from services.catalogue import ModelCard
from services.records import JobRequest


def model_picker(studio: Studio, cards: dict[str, ModelCard], slots: Slots) -> None:
    """Draws the choice, and what the chosen model can do; of several, each can be looked at."""
    card = cards[st.session_state["g_model"]]
    st.selectbox(
        "Model",
        list(cards),
        key="g_model",
        format_func=lambda model: cards[model].name,
        on_change=lambda: form.change_model(cards[st.session_state["g_model"]]),
        help=f"{card.description} {abilities(card)}",
    )
    st.caption(_price(studio, card))
    if len(cards) > 1:
        with st.popover("Compare the models", icon=":material/compare:", type="tertiary", key="models_box"):
            for other in cards.values():
                st.markdown(f"**{other.name}**")
                for words in (other.description, abilities(other), _price(studio, other)):
                    st.caption(words)
    slots.by_param["model"] = st.empty()


def _price(studio: Studio, card: ModelCard) -> str:
    estimate = studio.jobs.estimate(JobRequest(prompt="", model=card.id))
    price, time = about(dollars(estimate.cost_usd)), about(duration(estimate.run_s))
    return f"{price[0].upper()}{price[1:]} and {time} a picture".replace("$", "\\$")


def abilities(card: ModelCard) -> str:
    """What a model takes and draws, in two sentences."""
    ways = ["from words"]
    if card.image_to_image:
        ways.append("over a picture")
    if card.inpainting:
        ways.append("under a mask")
    how = ways[0] if len(ways) == 1 else f"{', '.join(ways[:-1])} and {ways[-1]}"
    negative = "takes a negative prompt" if card.negative_prompt else "takes no negative prompt"
    return f"Draws {how}; {negative}. {card.min_px} to {card.max_px} px a side, {card.max_count} pictures at once."
