"""Shows users' text in full as plain text, never as Markdown, HTML, LaTeX, or layout."""

from __future__ import annotations

import streamlit as st

from app.ui.common.plain_text import plain


def show_text(text: str, *, help: str | None = None) -> None:
    """Shows users' text in full as plain text; line breaks are kept."""
    st.text(plain(text), help=help, width="stretch")
