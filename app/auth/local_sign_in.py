"""Sign-in against the studio's own list of users, for a private install without Cognito (`AUTH_MODE=local`).

The pages only read the cookie, from the request of the session; `local_routes` sets and clears it.
"""

from __future__ import annotations

import time
from html import escape
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

import streamlit as st

from app.auth.local_session import (
    COOKIE,
    EXPIRED,
    NOTICE_COOKIE,
    SIGN_IN_PATH,
    LocalSession,
    SignedCookies,
    kept_users,
)
from app.i18n.texts import mark, tr
from services.accounts.local_users import LocalUser
from services.errors import NotSignedIn
from services.records import User

if TYPE_CHECKING:
    from services.build import Studio

FORM = Template((Path(__file__).parents[1] / "assets" / "local_sign_in.html").read_text(encoding="utf-8"))
# How long a session caches the user list: a removed user loses access within this time.
USERS_MAX_AGE_S = 60.0
# Translated by `tr`. The message does not reveal which of the two was wrong.
REASONS = {
    "wrong": mark("The username or password is wrong."),
    "delayed": mark(
        "Too many sign-ins with this username failed here. Wait up to 15 minutes, then try again."
    ),
    "unavailable": mark("The sign-in cannot be checked right now. Try again in a few seconds."),
}


def current(studio: Studio) -> User | None:
    """Returns the user that the browser's cookie signs in, or None.

    Reads the user list at most once per minute and session, and the profile once per minute and user.
    """
    session = _session(studio)
    local = None if session is None else _users(studio).get(session.user_id)
    if session is None or local is None:
        return None
    try:
        return kept_users(studio).sign_in(local, began_at=session.began_at, epoch=session.epoch)
    except NotSignedIn:
        # Signed out in another tab or on another copy of the cookie, or the password is new.
        return None


def show_form(studio: Studio) -> None:
    """Draws the username and password form. The browser posts it to the server, so no script sees the password."""
    if not _users(studio):
        st.info(
            tr(
                "There are no users yet. The operator can add one with `python -m services.commands.users "
                "add`."
            )
        )
        return
    notice = _cookies(studio).read_notice(st.context.cookies.get(NOTICE_COOKIE, ""))
    st.html(
        FORM.substitute(
            action=SIGN_IN_PATH,
            title=escape(tr("Sign in")),
            username=escape(tr("Username")),
            password=escape(tr("Password")),
            typed=escape("" if notice is None else notice.username),
        )
    )
    if notice is not None and notice.reason in REASONS:
        st.error(tr(REASONS[notice.reason]), icon=":material/error:")


def end(studio: Studio) -> None:
    """Ends every copy of the session and redirects to the route that clears the cookie. Two AWS calls."""
    session, user = _session(studio), current(studio)
    if session is not None and user is not None:
        studio.accounts.end_session(user, session.began_at)
    st.logout()


def _session(studio: Studio) -> LocalSession | None:
    cookie = st.context.cookies.get(COOKIE)
    if cookie is None:
        return None
    try:
        return _cookies(studio).read_session(cookie)
    except NotSignedIn as error:
        if error.code == EXPIRED:
            st.session_state["signed_out_because"] = "expired"
        return None


def _cookies(studio: Studio) -> SignedCookies:
    return SignedCookies(studio.settings.cookie_secret.get_secret_value())


def _users(studio: Studio) -> dict[str, LocalUser]:
    """Returns the users by id."""
    known = st.session_state.get("local_users")
    if known is None or time.monotonic() - known["at"] > USERS_MAX_AGE_S:
        users = {user.user_id: user for user in kept_users(studio).all().values()}
        known = st.session_state["local_users"] = {"at": time.monotonic(), "users": users}
    found: dict[str, LocalUser] = known["users"]
    return found
