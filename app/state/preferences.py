"""A session's copy of its owner's preferences, so that reruns read nothing."""

from __future__ import annotations

import streamlit as st

from services.accounts.preferences import Preferences
from services.build import Studio
from services.errors import Unavailable
from services.records import User

KEPT = "preferences"


def preferred(studio: Studio, user: User) -> Preferences:
    """The user's preferences. One AWS call a session; the studio's own while they cannot be read."""
    if KEPT not in st.session_state:
        try:
            st.session_state[KEPT] = studio.preferences.get(user)
        except Unavailable:
            return Preferences()
    return kept_preferences()


def kept_preferences() -> Preferences:
    """What this session has read of them, the studio's own before that. No AWS call."""
    kept: Preferences = st.session_state.get(KEPT) or Preferences()
    return kept


def prefer(studio: Studio, user: User, preferences: Preferences) -> None:
    """Keeps changed preferences, for this session at once. One AWS call. Raises InvalidRequest, Unavailable."""
    studio.preferences.save(user, preferences)
    st.session_state[KEPT] = preferences
