"""The session's cache of the user's pictures: the feed and the counts shown next to the filters."""

from __future__ import annotations

import streamlit as st


def invalidate() -> None:
    """Makes the next run read and count the pictures again."""
    st.session_state.pop("feed", None)
    st.session_state.pop("facets_of", None)
