"""Sign-in against the studio's own list of users, for a private install without Cognito (`AUTH_MODE=local`).

Streamlit runs a page anew for every value a component sends, and a click whose run is cut short by that is lost. So the
cookie component is only ever on the page alone: between a right password and the page, and between a sign-out and the
form. Cookies are read from the request.
"""

from __future__ import annotations

import functools
import secrets
import time
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

from app.i18n.texts import tr
from services.accounts.local_users import LocalUser, LocalUsers
from services.records import User

if TYPE_CHECKING:
    from services.build import Studio

COOKIE = "atelier_session"
SESSION_S = 12 * 3600
# What the sign-in itself keeps in a session; the first six are streamlit-authenticator's.
SESSION_KEYS = frozenset(
    {
        *("authentication_status", "username", "name", "email", "roles", "logout"),
        *("local_users", "signed_in_at", "cookie_write"),
    }
)
# How long a session trusts the user list it read: a removed user is out within this time.
USERS_MAX_AGE_S = 60.0


def component_folder() -> Path:
    """Where the cookie component's page lies. Raises RuntimeError when its package is missing."""
    # Found, not imported: an import before the server runs would register the package's components nowhere.
    package = find_spec("extra_streamlit_components")
    if package is None or package.origin is None:
        raise RuntimeError("AUTH_MODE=local needs the package streamlit-authenticator.")
    return Path(package.origin).parent / "CookieManager" / "frontend" / "build"


def current(studio: Studio) -> User | None:
    """The signed-in user of this session, also by the cookie of an earlier one; None when there is none.

    Reads the user list at most once a minute and session.
    """
    if "cookie_write" in st.session_state:
        # Signing in or out is not over before the browser has taken the cookie.
        return None
    if not st.session_state.get("authentication_status"):
        if COOKIE not in st.context.cookies or st.session_state.get("logout"):
            return None
        _sign_in_by_cookie(studio)
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
    return _kept_by(studio).sign_in(local)


def show_form(studio: Studio) -> None:
    """The user name and password form, or what stands in its place while the browser takes a cookie."""
    if "cookie_write" in st.session_state:
        _write_cookie()
        return
    if not _users(studio):
        st.info(
            tr("There are no users yet. The operator adds one with `python -m services.commands.users add`.")
        )
        return
    with st.form("local_sign_in", clear_on_submit=False):
        st.subheader(tr("Sign in"))
        username = st.text_input(tr("User name"), autocomplete="username")
        password = st.text_input(tr("Password"), type="password", autocomplete="current-password")
        asked = st.form_submit_button(tr("Sign in"))
    if asked:
        authenticator = _authenticator(studio)
        if authenticator.passwords.login(username, password):
            st.session_state["logout"] = None
            st.session_state["signed_in_at"] = time.time()
            authenticator.cookie.set_cookie()
            st.rerun()
    if st.session_state.get("authentication_status") is False:
        st.error(tr("User name or password is wrong."), icon=":material/error:")


def end(studio: Studio) -> None:
    """Forgets the user in this session and has the cookie deleted; ends the run."""
    authenticator = _authenticator(studio)
    authenticator.passwords.logout()
    authenticator.cookie.delete_cookie()
    st.session_state.pop("signed_in_at", None)
    st.rerun()


class _CookieWrites:
    """Stands where the package has a component on every page: notes what is to be written, for `_write_cookie`."""

    def __init__(self, *, secure: bool) -> None:
        self._secure = secure

    def set(self, name: str, value: str, *, expires_at: datetime) -> None:
        """Notes a cookie to set; `expires_at` is the package's, without a time zone, and not used."""
        options = {
            "path": "/",
            "expires": (datetime.now(UTC) + timedelta(seconds=SESSION_S)).isoformat(),
            "sameSite": "strict",
            "secure": self._secure,
        }
        self._note(method="set", cookie=name, value=value, options=options)

    def delete(self, name: str) -> None:
        """Notes a cookie to delete."""
        self._note(method="delete", cookie=name)

    def _note(self, **what: object) -> None:
        # A key of its own: an earlier write's answer must not be taken for this one's.
        st.session_state["cookie_write"] = what | {"key": f"cookie_{secrets.token_hex(4)}"}


def _write_cookie() -> None:
    """Has the browser write the noted cookie; its answer starts another run, which goes on to the page or the form."""
    write = st.session_state["cookie_write"]
    st.caption(tr("Signing you in…") if write["method"] == "set" else tr("Signing you out…"))
    if _component()(**write, default=False):
        del st.session_state["cookie_write"]
        st.rerun()


@functools.cache
def _component() -> Any:
    return st.components.v1.declare_component("cookie_writer", path=str(component_folder()))


class _Authenticator:
    """The package's password check and cookie, without its form and the component that its `Authenticate` draws."""

    def __init__(self, credentials: dict[str, Any], *, cookie_key: str, secure: bool) -> None:
        from streamlit_authenticator.controllers import AuthenticationController
        from streamlit_authenticator.models import CookieModel

        self.passwords: Any = AuthenticationController(credentials, auto_hash=False)
        # Its __init__ draws the component.
        self.cookie: Any = CookieModel.__new__(CookieModel)
        vars(self.cookie).update(
            cookie_name=COOKIE,
            cookie_key=cookie_key,
            cookie_expiry_days=SESSION_S / 86400,
            cookie_manager=_CookieWrites(secure=secure),
            token=None,
            exp_date=None,
        )


def _sign_in_by_cookie(studio: Studio) -> None:
    """Signs in whom a valid cookie names; the 12 hours go on from when the cookie was made."""
    authenticator = _authenticator(studio)
    token = authenticator.cookie.get_cookie()
    # The package raises for a user who was removed since.
    if token and token["username"] in _users(studio):
        authenticator.passwords.login(token=token)
        st.session_state["signed_in_at"] = token["exp_date"] - SESSION_S


def _authenticator(studio: Studio) -> _Authenticator:
    """A password check against the users as they are now; reads them."""
    listed = _kept_by(studio).all()
    credentials = {
        "usernames": {
            name: {"email": user.email, "name": user.name, "password": user.password_hash}
            for name, user in listed.items()
        }
    }
    return _Authenticator(
        credentials,
        cookie_key=studio.settings.cookie_secret.get_secret_value(),
        secure=studio.settings.public_url.startswith("https://"),
    )


def _kept_by(studio: Studio) -> LocalUsers:
    if studio.local_users is None:
        raise RuntimeError("The studio keeps its own users with AUTH_MODE=local only.")
    return studio.local_users


def _users(studio: Studio) -> dict[str, LocalUser]:
    known = st.session_state.get("local_users")
    if known is None or time.monotonic() - known["at"] > USERS_MAX_AGE_S:
        users = {name.lower(): user for name, user in _kept_by(studio).all().items()}
        known = st.session_state["local_users"] = {"at": time.monotonic(), "users": users}
    found: dict[str, LocalUser] = known["users"]
    return found
