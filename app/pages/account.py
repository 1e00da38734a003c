"""The user's account: identity, usage against the limits, preferences, shared pictures, and API keys."""

from __future__ import annotations

from datetime import UTC, datetime

import streamlit as st

from app.ui.common.error_banner import in_words
from app.ui.account.preference_form import preference_form
from app.ui.common.prompt_text import show_text
from app.ui.viewer.share_panel import share_rows
from app.ui.account.export_my_data import take_away
from app.ui.account.revoke_access import revoke_access
from app.ui.account.usage_chart import usage_chart
from app.i18n.texts import tr, mark
from app.ui.common.error_boundary import error_boundary
from app.auth.session import require, sign_out, studio
from app.i18n.wording import ago, dollars
from services.build import Studio
from services.errors import InvalidRequest
from services.accounts.accounts import ApiKey
from services.records import Role, User

user = require()

ROLE_WORDS = {Role.MAKER: mark("Maker"), Role.ADMIN: mark("Admin")}


def identity(user: User) -> None:
    """Draws the name, address, role, and the sign-out button."""
    with st.container(border=True, horizontal=True, vertical_alignment="center", key="identity"):
        st.markdown(":material/account_circle:", width="content")
        with st.container(gap="xsmall", width="stretch"):
            if user.name:
                show_text(user.name)
            show_text(user.email)
        st.badge(tr(ROLE_WORDS[user.role]), color="violet" if user.role is Role.ADMIN else "gray")
        if st.button(tr("Sign out"), icon=":material/logout:", key="account_sign_out"):
            sign_out()


def usage(studio: Studio, user: User) -> None:
    """Shows today's pictures, this month's dollars, and the open jobs, each against its limit."""
    used, days = studio.ledger.month(user, datetime.now(UTC))
    rows = (
        (
            "images",
            tr("Pictures today"),
            used.images_today,
            used.daily_images,
            tr("{count} of {limit}", count=used.images_today, limit=used.daily_images),
        ),
        (
            "spent",
            tr("Spent this month"),
            used.spent_month_usd,
            used.monthly_usd,
            tr("{count} of {limit}", count=dollars(used.spent_month_usd), limit=dollars(used.monthly_usd)),
        ),
        (
            "jobs",
            tr("Open jobs"),
            used.open_jobs,
            used.max_open_jobs,
            tr("{count} of {limit}", count=used.open_jobs, limit=used.max_open_jobs),
        ),
    )
    st.subheader(tr("Usage"), anchor=False)
    for column, (key, name, value, limit, words) in zip(st.columns(len(rows)), rows, strict=True):
        with column, st.container(border=True, key=f"usage_{key}", gap="small"):
            st.caption(name)
            st.markdown(f"**{words}**".replace("$", "\\$"))
            st.progress(min(1.0, value / limit if limit else 1.0))
    usage_chart(days, daily_images=used.daily_images, monthly_usd=used.monthly_usd)
    st.caption(tr("Days and months are in UTC. The figures include what open jobs may still cost."))


def show_secret(secret: str) -> None:
    """Shows the secret of a new key; it is never shown again."""
    st.warning(tr("Copy it now. It is shown only once."), icon=":material/key:")
    st.code(secret, language=None)
    st.caption(tr("Programs send it in this header:"))
    st.code("Authorization: Bearer <the key>", language=None)


def keys(studio: Studio, user: User) -> None:
    """Lists the API keys, each with a button to revoke it, and creates new ones."""
    st.subheader(tr("API keys"), anchor=False)
    st.caption(
        tr(
            "For programs that use `{address}`. A key has the same permissions as you.",
            address=f"{studio.settings.public_url}/v1",
        )
    )
    with st.form("new_key", border=True, clear_on_submit=True):
        with st.container(horizontal=True, vertical_alignment="bottom"):
            name = st.text_input(
                tr("Name of the new key"), placeholder=tr("What will use it?"), max_chars=60, key="key_name"
            )
            made = st.form_submit_button(tr("Create key"), icon=":material/add:", type="primary")
        problem = st.empty()
    if made:
        try:
            secret = studio.accounts.create_key(user, (name or "").strip()).secret
            st.dialog(tr("Your new API key"), dismissible=True)(show_secret)(secret)
        except InvalidRequest as error:
            problem.markdown(f":red[:material/error: {in_words(error)}]")
    for key in studio.accounts.keys(user):
        row(studio, user, key)


def row(studio: Studio, user: User, key: ApiKey) -> None:
    """Draws one key: its name, the prefix of its secret, its age, and the button that revokes it."""
    with st.container(border=True, horizontal=True, vertical_alignment="center", key=f"key_{key.id}"):
        st.markdown(":material/key:", width="content")
        show_text(key.name)
        st.markdown(f"`{key.prefix}…`", width="content")
        st.caption(tr("created {ago}", ago=ago(key.created_at)), width="content")
        st.space("stretch")
        with st.popover(tr("Revoke"), icon=":material/block:", key=f"revoke_{key.id}"):
            st.markdown(tr("Programs that use this key lose access immediately."))
            if st.button(tr("Revoke"), type="primary", key=f"sure_{key.id}"):
                studio.accounts.revoke_key(user, key.id)
                st.rerun()


def shares(studio: Studio, user: User) -> None:
    """Lists the public links to the user's pictures, if there are any."""
    found = studio.shares.list(user)
    if not found:
        return
    st.subheader(tr("Shared pictures"), anchor=False)
    st.caption(
        tr(
            "Anyone with one of these links can see its picture until the link expires or you stop sharing it."
        )
    )
    share_rows(studio, user, found, linked=True)


with st.container(horizontal=True, vertical_alignment="center", key="page_head"):
    st.title(tr("Account"), anchor=False, width="content")
identity(user)
with error_boundary():
    usage(studio(), user)
with error_boundary():
    preference_form(studio(), user)
with error_boundary():
    shares(studio(), user)
with error_boundary():
    keys(studio(), user)
with error_boundary():
    revoke_access(studio(), user)
with error_boundary():
    take_away(studio(), user)
