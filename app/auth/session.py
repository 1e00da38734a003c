"""Who is asking, and the one Studio of the process that answers."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Mapping
from typing import Any

import streamlit as st

from app.auth import local_sign_in
from app.auth.sign_in import show_denied, show_sign_in
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
    """Who is signed in in this session; None when nobody is, or when the sign-in is over 12 hours old.

    Reads the profile at most once a minute and user. What a session remembers is forgotten when another user
    takes it over.
    """
    user = local_sign_in.current(studio()) if _by_password() else _from_cognito()
    if user is not None:
        # A session without an owner is new: what it holds is what the browser still knew of its widgets.
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
    try:
        return studio().accounts.sign_in(
            sub=str(claims["sub"]),
            email=str(claims.get("email", "")),
            groups=groups_of(claims),
            name=str(claims.get("name", "")),
            began_at=began_at,
        )
    except NotSignedIn:
        # Signed out in another tab or window: this copy of the session is no longer good.
        return None


def sign_in_began_at(claims: Mapping[str, Any]) -> int | None:
    """When the sign-in that the ID token's claims tell of began, in seconds since 1970; None when they do not say."""
    # auth_time is when the password was typed; a provider that leaves it out says at least when it issued.
    began = claims.get("auth_time", claims.get("iat"))
    if isinstance(began, bool) or not isinstance(began, int | float) or not math.isfinite(began):
        return None
    return int(began)


def groups_of(claims: Mapping[str, Any]) -> tuple[str, ...]:
    """The user's groups; a claim of another shape than a list of strings counts as none."""
    groups = claims.get("cognito:groups")
    if not isinstance(groups, list):
        return ()
    return tuple(group for group in groups if isinstance(group, str))


def require(role: Role = Role.MAKER) -> User:
    """The gate, for the first line of every page: who is signed in, if they may be here.

    Otherwise it shows the sign-in, or that the page is not theirs, and ends the run of the page.
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
    """Ends the session here and, with Cognito, at the hosted sign-in too."""
    if _by_password():
        local_sign_in.end(studio())
        return
    user, began_at = current_user(), sign_in_began_at(st.user.to_dict())
    if user is not None and began_at is not None:
        # A copy of the cookie must not outlive the sign-out.
        studio().accounts.end_session(user, began_at)
    st.logout()
