"""The preferences of the account page: theme, language, and the defaults of the Create form."""

from __future__ import annotations

from functools import partial

import streamlit as st

from app.i18n.language import choose
from app.i18n.texts import LANGUAGES, mark, tr
from app.state.preferences import prefer, preferred
from app.state.widget_values import show_value
from app.ui.common.error_banner import show_error
from services.accounts.preferences import Preferences, Theme
from services.build import Studio
from services.catalogue.cards import ModelCard
from services.errors import StudioError
from services.records import User

THEME_WORDS = {
    Theme.SYSTEM: mark("Same as system"),
    Theme.LIGHT: mark("Light"),
    Theme.DARK: mark("Dark"),
}
PROBLEM = "preference_problem"
# Quality None: the model's default.
OWN = mark("Model default")
# No language chosen: use the browser's.
BROWSERS = mark("Same as browser")


def preference_form(studio: Studio, user: User) -> None:
    """Draws the choices; each is saved as soon as it is made."""
    now = preferred(studio, user)
    cards = {card.id: card for card in studio.catalogue.models()}
    card = cards.get(now.model or "") or next(iter(cards.values()))
    _show(now, card)
    st.subheader(tr("Preferences"), anchor=False)
    with st.container(border=True, key="preferences"):
        keep = partial(_keep, studio, user, cards)
        with st.container(horizontal=True, gap="large"):
            st.segmented_control(
                tr("Theme"),
                list(THEME_WORDS),
                format_func=lambda one: tr(THEME_WORDS[one]),
                key="p_theme",
                required=True,
                on_change=keep,
            )
            st.selectbox(
                tr("Language"),
                [BROWSERS, *LANGUAGES],
                format_func=lambda one: tr(BROWSERS) if one == BROWSERS else LANGUAGES[one],
                key="p_language",
                width=220,
                on_change=keep,
            )
        model, quality, count = st.columns([4, 4, 3])
        model.selectbox(
            tr("Default model"),
            list(cards),
            format_func=lambda one: cards[one].name,
            key="p_model",
            on_change=keep,
        )
        quality.selectbox(
            tr("Quality"),
            [OWN, *card.qualities],
            format_func=lambda one: tr(one.capitalize()),
            key="p_quality",
            on_change=keep,
        )
        count.selectbox(tr("Pictures"), list(range(1, card.max_count + 1)), key="p_count", on_change=keep)
        st.caption(tr("The Create page starts with these values. Its current contents do not change."))
        if (problem := st.session_state.pop(PROBLEM, None)) is not None:
            show_error(problem)


def _show(now: Preferences, card: ModelCard) -> None:
    """Sets the widgets to the stored values, which another session may have changed."""
    show_value("p_theme", now.theme)
    show_value("p_language", now.language or BROWSERS)
    show_value("p_model", card.id)
    show_value("p_quality", now.quality or OWN)
    show_value("p_count", now.count)


def _keep(studio: Studio, user: User, cards: dict[str, ModelCard]) -> None:
    """Shows the error of a callback, which runs before anything is drawn."""
    state = st.session_state
    card = cards[state["p_model"]]
    quality = state["p_quality"] if state["p_quality"] in card.qualities else None
    wanted = Preferences(
        language=None if state["p_language"] == BROWSERS else state["p_language"],
        theme=state["p_theme"],
        model=card.id,
        quality=quality,
        count=min(state["p_count"], card.max_count),
    )
    try:
        prefer(studio, user, wanted)
        choose(wanted.language)
    except StudioError as error:
        state[PROBLEM] = error
