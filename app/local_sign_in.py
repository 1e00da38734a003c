"""Sign-in against the studio's own list of users, for a private install without Cognito (`AUTH_MODE=local`)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import streamlit as st

from services.accounts import LocalUser
from services.records import User

if TYPE_CHECKING:
    from services.build import Studio

COOKIE = "atelier_session"
SESSION_S = 12 * 3600
# What the sign-in itself keeps in a session; the first six are streamlit-authenticator's.
SESSION_KEYS = frozenset(
    {
        *("authentication_status", "username", "name", "email", "roles", "logout"),
        *("authenticator", "local_users", "signed_in_at"),
    }
)
# How long a session trusts the user list it read: a removed user is out within this time.
USERS_MAX_AGE_S = 60.0


def current(studio: Studio) -> User | None:
    """The signed-in user of this session, also by the cookie of an earlier one; None when there is none.

    Reads the user list at most once a minute and session.
    """
    if not st.session_state.get("authentication_status"):
        if COOKIE not in st.context.cookies and "authenticator" not in st.session_state:
            return None
        _sign_in_by_cookie(_authenticator(studio))
    username = st.session_state.get("username")
    if not st.session_state.get("authentication_status") or not username:
        return None
    if time.time() - st.session_state.setdefault("signed_in_at", time.time()) > SESSION_S:
        st.session_state["signed_out_because"] = "expired"
        st.session_state["authentication_status"] = None
        return None
    local = _users(studio).get(username)
    if local is None:
        st.session_state["authentication_status"] = None
        return None
    return studio.accounts.sign_in_local(local)


def show_form(studio: Studio) -> None:
    """The user name and password form; on success the next run is signed in."""
    if not _users(studio):
        st.info("There are no users yet. The operator adds one with `python -m services.users add`.")
        return
    _authenticator(studio).login(
        fields={
            "Form name": "Sign in",
            "Username": "User name",
            "Password": "Password",
            "Login": "Sign in",
        },
        clear_on_submit=False,
        key="local_sign_in",
    )
    if st.session_state.get("authentication_status") is False:
        st.error("User name or password is wrong.", icon=":material/error:")
    elif st.session_state.get("authentication_status"):
        # The cookie is written by a component of this run; its answer starts the next one.
        st.session_state["signed_in_at"] = time.time()
        st.caption("Signing you in…")


def end(studio: Studio) -> None:
    """Forgets the user in this session and deletes the cookie; the run must go on, for the cookie's sake."""
    _authenticator(studio).logout(location="unrendered")
    st.session_state.pop("signed_in_at", None)


def _sign_in_by_cookie(authenticator: Any) -> None:
    """Signs in whom a valid cookie names; the 12 hours go on from when the cookie was made."""
    token = authenticator.cookie_controller.get_cookie()
    authenticator.login(location="unrendered")
    if st.session_state.get("authentication_status") and token:
        st.session_state["signed_in_at"] = token["exp_date"] - SESSION_S


def _authenticator(studio: Studio) -> Any:
    """The session's `Authenticate`; one object a session, since building it draws the cookie component."""
    if "authenticator" not in st.session_state:
        import streamlit_authenticator as authenticator

        listed = studio.accounts.local_users()
        credentials = {
            "usernames": {
                name: {"email": user.email, "name": user.name, "password": user.password_hash}
                for name, user in listed.items()
            }
        }
        st.session_state["authenticator"] = authenticator.Authenticate(
            credentials,
            cookie_name=COOKIE,
            cookie_key=studio.settings.cookie_secret.get_secret_value(),
            cookie_expiry_days=SESSION_S / 86400,
            auto_hash=False,
            # The package sleeps 0.7 s in every run, for cookies read by a component; ours come with the request.
            login_sleep_time=0,
        )
    return st.session_state["authenticator"]


def _users(studio: Studio) -> dict[str, LocalUser]:
    known = st.session_state.get("local_users")
    if known is None or time.monotonic() - known["at"] > USERS_MAX_AGE_S:
        users = {name.lower(): user for name, user in studio.accounts.local_users().items()}
        known = st.session_state["local_users"] = {"at": time.monotonic(), "users": users}
    found: dict[str, LocalUser] = known["users"]
    return found
