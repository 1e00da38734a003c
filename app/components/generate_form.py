"""The left side of the generate page: what to draw, what it will cost, and the button."""

from __future__ import annotations

import time
from dataclasses import dataclass

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from app.components import form_values as form
from app.components.error_banner import in_words, show_error
from app.components.prompt_text import as_label
from app.submission import Attempt, key_for
from app.wording import about, ago, dollars, duration
from services.build import Studio
from services.catalogue import ModelCard
from services.errors import InvalidRequest, Moderated, StudioError
from services.records import Estimate, Job, JobRequest, User


@dataclass
class Slots:
    """Places under the widgets where an error about their parameter is put."""

    by_param: dict[str, DeltaGenerator]

    def show(self, error: InvalidRequest, request: JobRequest) -> bool:
        """Shows the error under what caused it; False when no widget stands for its parameter."""
        slot = self.by_param.get(error.param or "")
        if slot is None:
            return False
        words = in_words(error)
        if isinstance(error, Moderated):
            start, end = error.span
            words += f" Found: “{as_label(getattr(request, str(error.param))[start:end])}”."
        slot.markdown(f":red[:material/error: {words}]")
        return True


def generate_form(studio: Studio, user: User) -> Job | None:
    """Draws the form; answers with the job that was just submitted or asked to be shown, else None."""
    cards = {card.id: card for card in studio.catalogue.models()}
    chosen = st.session_state.get(form.MEMORY, {}).get("g_model")
    card = cards.get(chosen) or next(iter(cards.values()))
    form.restore(card)
    slots = Slots({})
    with st.container(border=True, key="generate_form", gap="small"):
        _texts(card, slots)
        _model(cards, slots)
        _shape(card, slots)
        _advanced(card, slots)
        request = form.request(card)
        clicked = st.button(
            "Generate",
            type="primary",
            icon=":material/auto_awesome:",
            width="stretch",
            shortcut="Ctrl+Enter",
            key="generate",
        )
        _price(studio, request, slots, clicked)
        form.drawn()
        return _answer(studio, user, request, slots, clicked)


def _texts(card: ModelCard, slots: Slots) -> None:
    st.text_area(
        "Prompt",
        key="g_prompt",
        height=110,
        placeholder="What should it draw?",
        value=form.initial("g_prompt"),
        on_change=form.remember,
    )
    slots.by_param["prompt"] = st.empty()
    if card.negative_prompt:
        value = form.initial("g_negative")
        filled = bool(st.session_state.get("g_negative") or value)
        with st.expander("Negative prompt", icon=":material/block:", expanded=filled, key="negative_box"):
            st.text_area(
                "Negative prompt",
                key="g_negative",
                height=68,
                placeholder="What should not be in it?",
                label_visibility="collapsed",
                value=value,
                on_change=form.remember,
            )
            slots.by_param["negative_prompt"] = st.empty()


def _model(cards: dict[str, ModelCard], slots: Slots) -> None:
    st.selectbox(
        "Model",
        list(cards),
        key="g_model",
        format_func=lambda model: cards[model].name,
        on_change=lambda: form.change_model(cards[st.session_state["g_model"]]),
    )
    st.caption(cards[st.session_state["g_model"]].description)
    slots.by_param["model"] = st.empty()


def _shape(card: ModelCard, slots: Slots) -> None:
    st.segmented_control(
        "Size",
        [*(size.label for size in card.sizes), form.CUSTOM],
        key="g_size",
        required=True,
        on_change=form.remember,
        width="stretch",
    )
    # The place is there for every size: what follows would be drawn anew, and fold up, if it moved.
    with st.container(gap="small"):
        if st.session_state["g_size"] == form.CUSTOM:
            for column, name in zip(st.columns(2), ("width", "height"), strict=True):
                # Without bounds: the browser would keep a value outside them to itself, and the service's
                # message would be about the value before.
                column.number_input(
                    f"{name.capitalize()}, px", step=card.grid_px, key=f"g_{name}", on_change=form.remember
                )
    slots.by_param["width"] = slots.by_param["height"] = st.empty()
    quality, count = st.columns([4, 3])
    quality.segmented_control(
        "Quality",
        list(card.qualities),
        key="g_quality",
        required=True,
        format_func=str.capitalize,
        on_change=lambda: form.apply_quality(card),
        width="stretch",
    )
    count.segmented_control(
        "Pictures",
        list(range(1, card.max_count + 1)),
        key="g_count",
        required=True,
        on_change=form.remember,
        width="stretch",
    )
    slots.by_param["quality"] = slots.by_param["count"] = st.empty()


def _advanced(card: ModelCard, slots: Slots) -> None:
    with st.expander("Advanced", icon=":material/tune:", key="advanced_box"):
        st.slider("Steps", card.min_steps, card.max_steps, key="g_steps", on_change=form.remember)
        slots.by_param["steps"] = st.empty()
        if card.max_guidance > card.min_guidance:
            st.slider(
                "Guidance",
                float(card.min_guidance),
                float(card.max_guidance),
                step=0.5,
                key="g_guidance",
                help="How closely to follow the prompt.",
                on_change=form.remember,
            )
            slots.by_param["guidance"] = st.empty()
        if len(card.schedulers) > 1:
            st.selectbox("Scheduler", card.schedulers, key="g_scheduler", on_change=form.remember)
            slots.by_param["scheduler"] = st.empty()
        with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
            st.number_input(
                "Seed",
                value=None,
                step=1,
                key="g_seed",
                placeholder="Random",
                help="The same seed and settings draw the same picture. Empty: a new one each time.",
                on_change=form.remember,
            )
            st.button(
                "", icon=":material/casino:", key="roll", on_click=form.roll_seed, help="Fix a random seed"
            )
            st.button(
                "",
                icon=":material/backspace:",
                key="unroll",
                on_click=form.clear_seed,
                help="Back to random",
                disabled=st.session_state["g_seed"] is None,
            )
        slots.by_param["seed"] = st.empty()


def _price(studio: Studio, request: JobRequest, slots: Slots, clicked: bool) -> None:
    """Price and time under the button; a value that cannot be run is told at its widget instead."""
    try:
        estimate = studio.jobs.estimate(request)
    except InvalidRequest as error:
        if not clicked and not slots.show(error, request):
            show_error(error)
        return
    st.caption(price_words(estimate))


def price_words(estimate: Estimate) -> str:
    """The line under the button, as a markdown label (a dollar sign would start a formula)."""
    price = about(dollars(estimate.cost_usd))
    words = f"{price[0].upper()}{price[1:]} · {about(duration(estimate.run_s))}"
    if estimate.cold_start_s >= 1:
        words += f" · the model is asleep, waking it adds {about(duration(estimate.cold_start_s))}"
    return words.replace("$", "\\$")


def _answer(studio: Studio, user: User, request: JobRequest, slots: Slots, clicked: bool) -> Job | None:
    if clicked:
        st.session_state.pop("same_job", None)
        try:
            if request.seed is not None and (same := studio.jobs.find_same(user, request)) is not None:
                st.session_state["same_job"] = (request, same)
            else:
                return _submit(studio, user, request)
        except StudioError as error:
            _tell(error, slots, request)
    return _offer_same(studio, user, request, slots)


def _offer_same(studio: Studio, user: User, request: JobRequest, slots: Slots) -> Job | None:
    """Offers the earlier pictures of an identical request for nothing, while the form still says the same."""
    asked, same = st.session_state.get("same_job", (None, None))
    if same is None or asked != request:
        return None
    with st.container(key="same_job_offer", border=True):
        st.markdown(f"**You have drawn exactly this {ago(same.created_at)}.** It would be the same again.")
        with st.container(horizontal=True):
            show = st.button("Show it for \\$0", key="show_same", type="primary")
            again = st.button("Draw again anyway", key="draw_again")
    if show:
        st.session_state.pop("same_job")
        found: Job = same
        return found
    if again:
        st.session_state.pop("same_job")
        try:
            return _submit(studio, user, request)
        except StudioError as error:
            _tell(error, slots, request)
    return None


def _submit(studio: Studio, user: User, request: JobRequest) -> Job:
    """One job a press; a press whose answer was lost is repeated under its own key."""
    attempt = Attempt(request, key_for(st.session_state.get("attempt"), request, time.monotonic()))
    st.session_state["attempt"] = attempt
    try:
        job = studio.jobs.submit(user, request, idempotency_key=attempt.key)
    except StudioError as error:
        if not error.retryable:
            st.session_state.pop("attempt")
        raise
    st.session_state["attempt"] = Attempt(request, attempt.key, answered_at=time.monotonic())
    return job


def _tell(error: StudioError, slots: Slots, request: JobRequest) -> None:
    if not (isinstance(error, InvalidRequest) and slots.show(error, request)):
        show_error(error)
