"""Applies the settings to Streamlit: sign-in secrets, pinned options, and the middleware in order."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from starlette.middleware import Middleware
from starlette.routing import Route

from app.auth.session import MAX_SESSION_S
from app.middleware.closed_paths import ClosedPaths
from app.middleware.one_address import OneAddress
from app.middleware.request_id import RequestId
from app.middleware.same_origin import SameOrigin
from app.middleware.security_headers import SecurityHeaders, content_security_policy, script_hashes
from app.middleware.session_cookies import SessionCookies
from app.middleware.sign_in_redirects import SignInRedirects, logout_location
from app.middleware.unread_body import UnreadBody
from app.streamlit_internals.index_page import index_page
from app.streamlit_internals.server_options import pin_server_option
from services.settings import AuthMode, Settings

if TYPE_CHECKING:
    from services.build import Studio

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


def sign_in_secrets(settings: Settings) -> dict[str, Any] | None:
    """Returns the `auth` section for `st.login`; None if users sign in by the studio's own list."""
    if settings.auth_mode is not AuthMode.COGNITO:
        return None
    return {
        "auth": {
            "redirect_uri": f"{settings.public_url}/oauth2callback",
            "cookie_secret": settings.cookie_secret.get_secret_value(),
            "client_id": settings.cognito_client_id,
            "client_secret": settings.cognito_client_secret.get_secret_value(),
            "server_metadata_url": settings.cognito_discovery_url,
            # Cognito does not advertise S256 in its discovery document, so Streamlit would leave PKCE off.
            # It also knows no prompt=select_account.
            "client_kwargs": {
                "scope": "openid email profile",
                "code_challenge_method": "S256",
                "prompt": "login",
            },
        }
    }


def local_sign_in_routes(settings: Settings, get_studio: Callable[[], Studio]) -> list[Route]:
    """Returns the routes of the studio's own sign-in; none with Cognito."""
    if settings.auth_mode is not AuthMode.LOCAL:
        return []
    # Imported here, before a server runs: the package has a cookie component that Streamlit would serve publicly.
    from app.auth.local_routes import create_local_sign_in_routes

    return create_local_sign_in_routes(get_studio)


def pin_options(settings: Settings) -> None:
    """Sets the two server options that depend on the settings, the same in every task."""
    # The login's state cookie is signed with this one: with a random secret a login that starts on one task
    # and ends on another fails silently.
    pin_server_option("cookieSecret", settings.cookie_secret.get_secret_value())
    host = urlsplit(settings.public_url).hostname or ""
    pin_server_option("allowedHosts", list(LOOPBACK) if host in LOOPBACK else [host])


def middleware(settings: Settings) -> list[Middleware]:
    """Returns the middleware, outermost first."""
    https = settings.public_url.startswith("https://")
    policy = content_security_policy(
        scripts=script_hashes(index_page()), image_origin=" ".join(settings.picture_origins)
    )
    chain = [
        Middleware(RequestId),
        Middleware(UnreadBody),
        Middleware(
            SecurityHeaders,
            policy=policy,
            https=https,
        ),
        Middleware(SessionCookies, https=https, max_age_s=MAX_SESSION_S),
        Middleware(ClosedPaths),
        Middleware(SameOrigin, public_url=settings.public_url),
        Middleware(OneAddress, public_url=settings.public_url),
    ]
    if settings.auth_mode is AuthMode.COGNITO:
        logout_to = logout_location(
            settings.cognito_logout_url, settings.cognito_client_id, settings.public_url
        )
        chain.append(Middleware(SignInRedirects, logout_to=logout_to))
    return chain
