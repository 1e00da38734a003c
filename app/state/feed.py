"""What a session remembers of the user's pictures between two runs: the feed, and the counts beside the filters."""

from __future__ import annotations

import streamlit as st


def invalidate() -> None:
    """Has the next run read the pictures again, and count them again."""
    st.session_state.pop("feed", None)
    st.session_state.pop("facets_of", None)
