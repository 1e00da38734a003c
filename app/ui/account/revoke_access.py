"""The form in which an admin revokes the keys and sessions of a person who leaves."""

from __future__ import annotations

import streamlit as st

from app.i18n.texts import tr, tr_n
from app.ui.common.error_banner import in_words
from services.build import Studio
from services.errors import InvalidRequest, NotFound
from services.records import Role, User


def revoke_access(studio: Studio, user: User) -> None:
    """Draws the form for an admin, nothing for anybody else."""
    if user.role is not Role.ADMIN:
        return
    st.subheader(tr("Revoke a person's access"), anchor=False)
    st.caption(
        tr(
            "Ends every session and revokes every API key of a person who leaves. Disable or delete their "
            "account first; otherwise they can sign in again."
        )
    )
    with st.form("revoke_access", border=True, clear_on_submit=True):
        with st.container(horizontal=True, vertical_alignment="bottom"):
            name = st.text_input(tr("E-mail address or user ID"), max_chars=200, key="revoke_access_of")
            sent = st.form_submit_button(tr("Revoke access"), icon=":material/person_off:", type="primary")
        answer = st.empty()
    if not sent or not (name or "").strip():
        return
    try:
        count = studio.leavers.revoke_as(user, name or "")
    except (NotFound, InvalidRequest) as error:
        answer.markdown(f":red[:material/error: {in_words(error)}]")
    else:
        answer.success(tr_n("Access revoked: {count} API key.", "Access revoked: {count} API keys.", count))
