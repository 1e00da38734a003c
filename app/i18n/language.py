"""The language of a session: the user's choice, else the browser's preference."""

from __future__ import annotations

from contextvars import ContextVar

import streamlit as st

from app.i18n.texts import ENGLISH, LANGUAGES, fitting, resolve_language_by
from app.streamlit_internals.script_context import session_id

CHOSEN = "language"

# Cached per script thread: a page shows a hundred texts, and each session lookup is slow.
_of_script: ContextVar[str | None] = ContextVar("language of the script", default=None)


def choose(wanted: str | None) -> None:
    """Sets this session's language to `wanted`; None means the browser's preference, or English if unsupported."""
    language = wanted if wanted in LANGUAGES else fitting([st.context.locale or ENGLISH])
    if st.session_state.get(CHOSEN) != language:
        st.session_state[CHOSEN] = language
    _of_script.set(language)


def of_session() -> str | None:
    """Returns the language code of the session whose script runs in this thread; None outside a script."""
    if session_id() is None:
        return None
    known = _of_script.get()
    if known is None:
        known = st.session_state.get(CHOSEN, ENGLISH)
        _of_script.set(known)
    return known


resolve_language_by(of_session)
