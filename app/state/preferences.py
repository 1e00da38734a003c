"""The session's copy of the user's preferences, so that reruns make no AWS calls."""

from __future__ import annotations

import streamlit as st

from services.accounts.preferences import Preferences
from services.build import Studio
from services.errors import Unavailable
from services.records import User

KEPT = "preferences"


def preferred(studio: Studio, user: User) -> Preferences:
    """Returns the user's preferences, or the defaults if they cannot be read. One AWS call per session."""
    if KEPT not in st.session_state:
        try:
            st.session_state[KEPT] = studio.preferences.get(user)
        except Unavailable:
            return Preferences()
    return kept_preferences()


def kept_preferences() -> Preferences:
    """Returns the cached preferences, or the defaults. No AWS call."""
    kept: Preferences = st.session_state.get(KEPT) or Preferences()
    return kept


def prefer(studio: Studio, user: User, preferences: Preferences) -> None:
    """Saves changed preferences and applies them to this session. One AWS call. Raises InvalidRequest, Unavailable."""
    studio.preferences.save(user, preferences)
    st.session_state[KEPT] = preferences
