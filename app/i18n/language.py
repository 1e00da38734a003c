"""The language of a session of the pages: what its reader chose, else what the browser asks for."""

from __future__ import annotations

from contextvars import ContextVar

import streamlit as st

from app.i18n.texts import ENGLISH, LANGUAGES, fitting, resolve_language_by
from app.streamlit_internals.script_context import session_id

CHOSEN = "language"

# Of the thread that runs a session's script: a page says a hundred texts, and each look into the session costs.
_of_script: ContextVar[str | None] = ContextVar("language of the script", default=None)


def choose(wanted: str | None) -> None:
    """Has this session speak `wanted`; None: what the browser asks for, and English when we do not speak it."""
    language = wanted if wanted in LANGUAGES else fitting([st.context.locale or ENGLISH])
    if st.session_state.get(CHOSEN) != language:
        st.session_state[CHOSEN] = language
    _of_script.set(language)


def of_session() -> str | None:
    """The code of the language of the session whose script runs in this thread; None outside of a script."""
    if session_id() is None:
        return None
    known = _of_script.get()
    if known is None:
        known = st.session_state.get(CHOSEN, ENGLISH)
        _of_script.set(known)
    return known


resolve_language_by(of_session)
