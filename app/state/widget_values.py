"""Sets widgets to stored values."""

from __future__ import annotations

import streamlit as st


def show_value(key: str, value: object) -> None:
    """Sets the widget of this key to a value before it is drawn, unless it has that value.

    Streamlit sends each value that is set to the browser, where it would undo a click of the same moment.
    """
    if key not in st.session_state or st.session_state[key] != value:
        st.session_state[key] = value
