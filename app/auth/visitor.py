"""Who sends a request outside of a page's run, by its cookies: an upload, or the download of a file."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from app.auth.local_session import COOKIE, LocalSession, SignedCookies, kept_users
from app.auth.session import MAX_SESSION_S, sign_in_began_at
from app.streamlit_internals.sign_in_cookie import claims_of
from services.accounts.accounts import user_id_of
from services.errors import NotFound, NotSignedIn
from services.settings import AuthMode

if TYPE_CHECKING:
    from services.build import Studio


def named(studio: Studio, cookies: Mapping[str, str]) -> str | None:
    """Returns the id of the user that the cookies name, or None; does not ask whether the session was ended."""
    session = _session(studio, cookies)
    return None if session is None else session.user_id


def signed_in(studio: Studio, cookies: Mapping[str, str]) -> str | None:
    """Returns the id of the user that the cookies sign in now, or None. Three AWS calls at most.

    Raises Unavailable.
    """
    session = _session(studio, cookies)
    if session is None:
        return None
    try:
        if studio.settings.auth_mode is AuthMode.LOCAL:
            users = kept_users(studio)
            local = next((one for one in users.all().values() if one.user_id == session.user_id), None)
            if local is None:
                return None
            return users.sign_in(local, began_at=session.began_at, epoch=session.epoch).id
        user = studio.accounts.user(session.user_id, began_at=session.began_at)
        return studio.accounts.checked(user).id
    except (NotFound, NotSignedIn):
        return None


def _session(studio: Studio, cookies: Mapping[str, str]) -> LocalSession | None:
    try:
        if studio.settings.auth_mode is AuthMode.LOCAL:
            secret = studio.settings.cookie_secret.get_secret_value()
            return SignedCookies(secret).read_session(cookies.get(COOKIE, ""))
        claims = claims_of(cookies)
        began_at = sign_in_began_at(claims)
        if began_at is None or time.time() - began_at > MAX_SESSION_S:
            return None
        return LocalSession(user_id_of(str(claims.get("sub", ""))), began_at)
    except NotSignedIn:
        return None
