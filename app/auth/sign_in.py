"""The pages for a visitor without access: the sign-in page, or a message that the page is for another role."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from app.auth import local_sign_in
from app.i18n.texts import tr
from services.settings import AuthMode

if TYPE_CHECKING:
    from services.build import Studio

NAME = "Atelier"
MARK = Path(__file__).parents[1] / "assets" / "mark.svg"


def show_sign_in(studio: Studio) -> None:
    """Draws the sign-in page: the name, why the visitor must sign in again, and the button or form."""
    with st.container(key="sign_in", horizontal_alignment="center", gap="medium"):
        with st.container(key="sign_in_card", width=400, border=True, gap="medium"):
            with st.container(horizontal_alignment="center", gap="small"):
                st.image(MARK.read_text(encoding="utf-8"), width=64, alt=NAME)
                st.title(NAME, text_alignment="center", anchor=False)
                st.text(tr("Your team's private image studio."), text_alignment="center")
            if st.session_state.pop("signed_out_because", None) == "expired":
                st.info(tr("Your session ended after 12 hours. Sign in again."), icon=":material/schedule:")
            if studio.settings.auth_mode is AuthMode.LOCAL:
                local_sign_in.show_form(studio)
            elif st.button(
                tr("Sign in"), type="primary", icon=":material/login:", width="stretch", key="sign_in_button"
            ):
                st.login()
        st.caption(tr("Prompts and pictures stay in your own cloud account."), text_alignment="center")


def show_denied() -> None:
    """Draws the message for a signed-in user on a page for another role."""
    st.title(tr("Not for this account"), anchor=False)
    st.text(tr("This page is for admins. Ask one of them if you need it."))
