"""The signed-in user of a session, and the process's shared Studio."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Mapping
from typing import Any

import streamlit as st

from app.auth import local_sign_in
from app.auth.sign_in import show_denied, show_sign_in
from services.accounts.accounts import ADMIN_GROUP, user_id_of
from services.build import Studio, build
from services.errors import NotSignedIn
from services.records import Role, User
from services.settings import AuthMode, load_settings

MAX_SESSION_S = 12 * 3600

_lock = threading.Lock()
_studio: Studio | None = None


def studio() -> Studio:
    """The process's Studio, shared by all sessions and the API; built on first use, connects to nothing."""
    global _studio
    if _studio is None:
        with _lock:
            if _studio is None:
                _studio = build(load_settings())
    return _studio


def current_user() -> User | None:
    """Returns the session's user; None if nobody is signed in or the sign-in is over 12 hours old.

    Reads the profile at most once per minute and user. The session's state is cleared when another user
    takes it over.
    """
    user = local_sign_in.current(studio()) if _by_password() else _from_cognito()
    if user is not None:
        # A session without an owner is new: its state is what the browser still remembered of the widgets.
        if st.session_state.get("owner", user.id) != user.id:
            for key in list(st.session_state):
                del st.session_state[key]
        st.session_state["owner"] = user.id
    return user


def _by_password() -> bool:
    return studio().settings.auth_mode is AuthMode.LOCAL


def _from_cognito() -> User | None:
    claims: Mapping[str, Any] = st.user.to_dict()
    if not claims.get("is_logged_in"):
        return None
    began_at = sign_in_began_at(claims)
    if began_at is None or time.time() - began_at > MAX_SESSION_S:
        st.session_state["signed_out_because"] = "expired"
        return None
    accounts, groups = studio().accounts, groups_of(claims)
    role = Role.ADMIN if ADMIN_GROUP in groups else Role.MAKER
    try:
        # The groups of the token are as old as the sign-in.
        named = User(id=user_id_of(str(claims["sub"])), email=str(claims.get("email", "")), role=role)
        return accounts.sign_in(
            sub=named.id,
            email=named.email,
            groups=groups if accounts.as_in_pool(named).role is role else (),
            name=str(claims.get("name", "")),
            began_at=began_at,
        )
    except NotSignedIn:
        # Signed out in another tab or window, or disabled or deleted in the user pool.
        return None


def sign_in_began_at(claims: Mapping[str, Any]) -> int | None:
    """Returns the time of the sign-in from the ID token's claims (Unix seconds), or None if they lack it."""
    # auth_time is when the password was entered; providers that omit it at least say when they issued the token.
    began = claims.get("auth_time", claims.get("iat"))
    if isinstance(began, bool) or not isinstance(began, int | float) or not math.isfinite(began):
        return None
    return int(began)


def groups_of(claims: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns the user's groups; a claim that is not a list of strings counts as none."""
    groups = claims.get("cognito:groups")
    if not isinstance(groups, list):
        return ()
    return tuple(group for group in groups if isinstance(group, str))


def require(role: Role = Role.MAKER) -> User:
    """The access check, for the first line of every page: returns the user if they may see the page.

    Otherwise shows the sign-in or the message about the role, and stops the run of the page.
    """
    user = current_user()
    if user is None:
        show_sign_in(studio())
        st.stop()
    if role is Role.ADMIN and user.role is not Role.ADMIN:
        show_denied()
        st.stop()
    return user


def sign_out() -> None:
    """Ends the session here and, with Cognito, at the hosted sign-in."""
    if _by_password():
        local_sign_in.end(studio())
        return
    user, began_at = current_user(), sign_in_began_at(st.user.to_dict())
    if user is not None and began_at is not None:
        # A copied cookie must not remain valid after sign-out.
        studio().accounts.end_session(user, began_at)
    st.logout()
