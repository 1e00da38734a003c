"""The button that uses a picture as the source picture of the form."""

from __future__ import annotations

import streamlit as st

from app.i18n.texts import tr
from app.navigation import GENERATE
from services.records import Image


def draw_over_button(image: Image) -> None:
    """Draws the button that opens the Create page with the picture's id in the URL."""
    if st.button(
        tr("Draw over"),
        icon=":material/brush:",
        key="viewer_over",
        help=tr("Start a new picture from this one, or redraw a part of it"),
    ):
        for name in ("image", "viewed"):
            st.query_params.pop(name, None)
            st.session_state.pop(name, None)
        st.switch_page(GENERATE, query_params={"source": image.id})
