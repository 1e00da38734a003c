"""The form of the Create page: settings, price, and the button."""

from __future__ import annotations

import streamlit as st

from app.i18n.texts import tr
from app.state import form_values as form
from app.state.preferences import preferred
from app.ui.create.field_errors import FieldErrors
from app.ui.create.model_picker import model_picker
from app.ui.create.prompt_tools import prompt_tools, prompts
from app.ui.create.size_picker import size_picker
from app.ui.create.source_picture import NOTHING_PAINTED, lacks_mask, source_picture
from app.ui.create.submit_panel import press
from services.build import Studio
from services.catalogue.cards import ModelCard
from services.errors import StudioError
from services.records import Job, JobRequest, User


def generate_form(studio: Studio, user: User) -> Job | None:
    """Draws the form and returns the job that was just submitted or is to be shown, else None.

    If several jobs were submitted, returns the first; the feed watches the others too.
    """
    cards = {card.id: card for card in studio.catalogue.models()}
    chosen = st.session_state.get(form.MEMORY, {}).get("g_model") or preferred(studio, user).model
    card = cards.get(chosen or "") or next(iter(cards.values()))
    form.restore(card)
    field_errors = FieldErrors({})
    with st.container(border=True, key="generate_form", gap="small"):
        _texts(studio, user, card, field_errors)
        source = source_picture(studio, user, card, field_errors)
        model_picker(studio, cards, field_errors)
        size_picker(card, field_errors)
        _amount(card, field_errors)
        _advanced(card, field_errors)
        # Stays in view, however long the form is (atelier.css).
        with st.container(key="press_bar", gap="xsmall"):
            clicked = st.button(
                tr("Generate"),
                type="primary",
                icon=":material/auto_awesome:",
                width="stretch",
                shortcut="Ctrl+Enter",
                key="generate",
            )
            price = st.empty()
        if clicked and lacks_mask(card):
            field_errors.by_param["mask"].markdown(f":red[:material/error: {tr(NOTHING_PAINTED)}]")
            clicked = False
        requests = _requests(studio, user, form.request(card, source), field_errors)
        if requests:
            return press(studio, user, requests, field_errors, price, clicked)
        form.drawn()
        return None


def _texts(studio: Studio, user: User, card: ModelCard, field_errors: FieldErrors) -> None:
    st.text_area(
        tr("Prompt"),
        key="g_prompt",
        height=110,
        placeholder=tr("What should it draw?"),
        value=form.initial("g_prompt"),
        on_change=form.remember,
    )
    field_errors.by_param["prompt"] = st.empty()
    prompt_tools(studio, user)
    if card.negative_prompt:
        value = form.initial("g_negative")
        # Open by state, not by content: it opens when filled from outside and does not fold while someone types.
        st.session_state.setdefault(form.NEGATIVE_BOX, bool(st.session_state.get("g_negative") or value))
        with st.expander(
            tr("Negative prompt"), icon=":material/block:", key=form.NEGATIVE_BOX, on_change="rerun"
        ):
            st.text_area(
                tr("Negative prompt"),
                key="g_negative",
                height=68,
                placeholder=tr("What should not be in the picture?"),
                label_visibility="collapsed",
                value=value,
                on_change=form.remember,
            )
            field_errors.by_param["negative_prompt"] = st.empty()


def _amount(card: ModelCard, field_errors: FieldErrors) -> None:
    quality, count = st.columns([4, 3])
    quality.segmented_control(
        tr("Quality"),
        list(card.qualities),
        key="g_quality",
        required=True,
        format_func=lambda quality: tr(quality.capitalize()),
        on_change=lambda: form.apply_quality(card),
        width="stretch",
    )
    count.segmented_control(
        tr("Pictures"),
        list(range(1, card.max_count + 1)),
        key="g_count",
        required=True,
        on_change=form.remember,
        width="stretch",
    )
    field_errors.by_param["quality"] = field_errors.by_param["count"] = st.empty()


def _advanced(card: ModelCard, field_errors: FieldErrors) -> None:
    with st.expander(tr("Advanced"), icon=":material/tune:", key="advanced_box"):
        st.slider(tr("Steps"), card.min_steps, card.max_steps, key="g_steps", on_change=form.remember)
        field_errors.by_param["steps"] = st.empty()
        if card.max_guidance > card.min_guidance:
            st.slider(
                tr("Guidance"),
                float(card.min_guidance),
                float(card.max_guidance),
                step=0.5,
                format="localized",
                key="g_guidance",
                help=tr("How closely to follow the prompt."),
                on_change=form.remember,
            )
            field_errors.by_param["guidance"] = st.empty()
        if len(card.schedulers) > 1:
            st.selectbox(tr("Scheduler"), card.schedulers, key="g_scheduler", on_change=form.remember)
            field_errors.by_param["scheduler"] = st.empty()
        with st.container(horizontal=True, vertical_alignment="bottom", gap="small", key="seed_row"):
            st.number_input(
                tr("Seed"),
                value=None,
                step=1,
                key="g_seed",
                placeholder=tr("Random"),
                help=tr(
                    "The same seed and settings draw the same picture. Leave it empty for a new seed "
                    "each time."
                ),
                on_change=form.remember,
            )
            # The labels are for screen readers: atelier.css shows only the icons.
            st.button(
                tr("Pick a random seed and keep it"),
                icon=":material/casino:",
                key="roll",
                on_click=form.roll_seed,
                help=tr("Pick a random seed and keep it"),
            )
            st.button(
                tr("Use a new random seed each time"),
                icon=":material/backspace:",
                key="unroll",
                on_click=form.clear_seed,
                help=tr("Use a new random seed each time"),
                disabled=st.session_state["g_seed"] is None,
            )
        field_errors.by_param["seed"] = st.empty()


def _requests(
    studio: Studio, user: User, typed: JobRequest, field_errors: FieldErrors
) -> tuple[JobRequest, ...]:
    """Returns one request per expanded prompt; shows the error and returns none if expansion fails."""
    try:
        texts = prompts(studio, user, typed.prompt)
    except StudioError as error:
        field_errors.show_or_banner(error, typed)
        return ()
    return tuple(typed.model_copy(update={"prompt": text}) for text in texts)
