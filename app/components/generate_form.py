"""The left side of the generate page: what to draw, what it will cost, and the button."""

from __future__ import annotations

import time
from dataclasses import dataclass

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from app.components import form_values as form
from app.components.error_banner import in_words, show_error
from app.components.prompt_text import as_label
from app.components.prompt_tools import preview, prompt_tools, prompts
from app.submission import Attempt, key_for
from app.wording import about, ago, dollars, duration, plural
from services.build import Studio
from services.catalogue import ModelCard
from services.errors import InvalidRequest, LimitReached, Moderated, StudioError
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
    """Draws the form; answers with the job that was just submitted or asked to be shown, else None.

    Of several that were submitted it answers with the first; the feed watches the others too.
    """
    cards = {card.id: card for card in studio.catalogue.models()}
    chosen = st.session_state.get(form.MEMORY, {}).get("g_model")
    card = cards.get(chosen) or next(iter(cards.values()))
    form.restore(card)
    slots = Slots({})
    with st.container(border=True, key="generate_form", gap="small"):
        _texts(studio, user, card, slots)
        _model(cards, slots)
        _shape(card, slots)
        _advanced(card, slots)
        clicked = st.button(
            "Generate",
            type="primary",
            icon=":material/auto_awesome:",
            width="stretch",
            shortcut="Ctrl+Enter",
            key="generate",
        )
        requests = _requests(studio, user, form.request(card), slots)
        if requests:
            _price(studio, requests, slots, clicked)
        form.drawn()
        return _answer(studio, user, requests, slots, clicked) if requests else None


def _texts(studio: Studio, user: User, card: ModelCard, slots: Slots) -> None:
    st.text_area(
        "Prompt",
        key="g_prompt",
        height=110,
        placeholder="What should it draw?",
        value=form.initial("g_prompt"),
        on_change=form.remember,
    )
    slots.by_param["prompt"] = st.empty()
    prompt_tools(studio, user)
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


def _requests(studio: Studio, user: User, typed: JobRequest, slots: Slots) -> tuple[JobRequest, ...]:
    """One request for each prompt that the form stands for; none (and it says why) where it stands for nothing."""
    try:
        texts = prompts(studio, user, typed.prompt)
    except StudioError as error:
        _tell(error, slots, typed)
        return ()
    return tuple(typed.model_copy(update={"prompt": text}) for text in texts)


def _price(studio: Studio, requests: tuple[JobRequest, ...], slots: Slots, clicked: bool) -> None:
    """Price and time under the button; a value that cannot be run is told at its widget instead."""
    try:
        estimate = studio.batches.estimate(requests)
    except InvalidRequest as error:
        if not clicked and not slots.show(error, requests[0]):
            show_error(error)
        return
    st.caption(price_words(estimate, prompts=len(requests), count=requests[0].count))
    if len(requests) > 1:
        preview(tuple(request.prompt for request in requests))


def price_words(estimate: Estimate, *, prompts: int = 1, count: int = 1) -> str:
    """The line under the button, as a markdown label (a dollar sign would start a formula)."""
    price = about(dollars(estimate.cost_usd))
    if prompts == 1:
        words = f"{price[0].upper()}{price[1:]}"
    else:
        words = f"{prompts} prompts x {plural(count, 'picture')} = {prompts * count} pictures, {price}"
    words += f" · {about(duration(estimate.run_s))}"
    if estimate.cold_start_s >= 1:
        words += f" · the model is asleep, waking it adds {about(duration(estimate.cold_start_s))}"
    return words.replace("$", "\\$")


def _answer(
    studio: Studio, user: User, requests: tuple[JobRequest, ...], slots: Slots, clicked: bool
) -> Job | None:
    if clicked:
        st.session_state.pop("same_job", None)
        st.session_state.pop("partly_sent", None)
        try:
            same = _same(studio, user, requests)
        except StudioError as error:
            _tell(error, slots, requests[0])
            return None
        if same is None:
            return _submit(studio, user, requests, slots)
        st.session_state["same_job"] = (requests[0], same)
    _show_partly_sent(requests)
    return _offer_same(studio, user, requests, slots)


def _same(studio: Studio, user: User, requests: tuple[JobRequest, ...]) -> Job | None:
    """The earlier job of a single request that would draw the same; several are drawn as they are asked for."""
    return studio.jobs.find_same(user, requests[0]) if len(requests) == 1 else None


def _offer_same(studio: Studio, user: User, requests: tuple[JobRequest, ...], slots: Slots) -> Job | None:
    """Offers the earlier pictures of an identical request for nothing, while the form still says the same."""
    asked, same = st.session_state.get("same_job", (None, None))
    if same is None or requests != (asked,):
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
        return _submit(studio, user, requests, slots)
    return None


def _submit(studio: Studio, user: User, requests: tuple[JobRequest, ...], slots: Slots) -> Job | None:
    """One job a prompt and press; a press that was not answered, or only in part, is repeated under its own key."""
    last: Attempt | None = st.session_state.get("attempt")
    attempt = Attempt(requests, key_for(last, requests, time.monotonic()))
    st.session_state["attempt"] = attempt
    again = last is not None and last.key == attempt.key
    batch = studio.batches.submit(user, requests, key=attempt.key, again=again)
    if batch.refused is None:
        st.session_state["attempt"] = Attempt(requests, attempt.key, answered_at=time.monotonic())
    else:
        error = batch.refused.error
        goes_on = error.retryable or (batch.sent and isinstance(error, LimitReached))
        if not goes_on:
            st.session_state.pop("attempt")
        if not batch.sent:
            _tell(error, slots, batch.refused.request)
            return None
        words = (
            f"{len(batch.sent)} of {len(requests)} jobs were sent and go on. The others were not: "
            f"{in_words(error)}"
        )
        if goes_on:
            words += " Generate then sends only those that are missing."
        st.session_state["partly_sent"] = (requests, words)
        _show_partly_sent(requests)
    _watch(batch.sent[1:])
    return batch.sent[0]


def _show_partly_sent(requests: tuple[JobRequest, ...]) -> None:
    """How much of the last press was sent, while the form still says the same."""
    asked, words = st.session_state.get("partly_sent", (None, ""))
    if asked == requests:
        st.warning(words, icon=":material/speed:")


def _watch(jobs: tuple[Job, ...]) -> None:
    """Has the feed show the progress of jobs besides the one that is answered with, in their order below it."""
    shown: list[str] = st.session_state.setdefault("open_jobs", [])
    shown[:0] = [job.id for job in jobs if not job.status.terminal and job.id not in shown]


def _tell(error: StudioError, slots: Slots, request: JobRequest) -> None:
    if not (isinstance(error, InvalidRequest) and slots.show(error, request)):
        show_error(error)
