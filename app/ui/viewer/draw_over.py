"""The way from a picture to the form, to draw over it."""

from __future__ import annotations

import streamlit as st

from app.i18n.texts import tr
from app.navigation import GENERATE
from services.records import Image


def draw_over_button(image: Image) -> None:
    """A button that takes the picture to the first page; its id is in the address there."""
    if st.button(
        tr("Draw over"),
        icon=":material/brush:",
        key="viewer_over",
        help=tr("Start the next picture from this one, or change a part of it"),
    ):
        for name in ("image", "viewed"):
            st.query_params.pop(name, None)
            st.session_state.pop(name, None)
        st.switch_page(GENERATE, query_params={"source": image.id})
