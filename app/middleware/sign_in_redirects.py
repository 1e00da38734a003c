"""Corrects two redirects of Streamlit's sign-in: to the requested page, and to Cognito's logout."""

from __future__ import annotations

from urllib.parse import quote, unquote, urlencode, urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOGIN_PATH = "/auth/login"
LOGOUT_PATH = "/auth/logout"
CALLBACK_PATH = "/oauth2callback"
COOKIE = "atelier_wanted"
COOKIE_MAX_AGE_S = 600
LONGEST_PATH = 1500


def safe_path(wanted: str) -> str | None:
    """Returns `wanted` if it is a path of this site (with its query), else None.

    Browsers treat `//host`, `/\\host`, and control characters before a host as another site; these,
    and the sign-in routes themselves, are refused.
    """
    if not wanted.startswith("/") or wanted.startswith("//") or len(wanted) > LONGEST_PATH:
        return None
    if "\\" in wanted or not wanted.isascii() or any(ord(c) <= 0x20 or ord(c) == 0x7F for c in wanted):
        return None
    try:
        parts = urlsplit(wanted)
    except ValueError:
        return None
    if parts.scheme or parts.netloc or parts.path.startswith(("/auth/", "/oauth2callback", "/_stcore")):
        return None
    return wanted


def page_of_referer(referer: str, host: str) -> str | None:
    """Returns path and query of a same-site `Referer`; None for another host or an unsafe path."""
    try:
        parts = urlsplit(referer)
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or parts.netloc.lower() != host.lower():
        return None
    return safe_path((parts.path or "/") + (f"?{parts.query}" if parts.query else ""))


def logout_location(logout_url: str, client_id: str, public_url: str) -> str:
    """Returns Cognito's `/logout` URL with its two parameters; it contains no token."""
    query = urlencode({"client_id": client_id, "logout_uri": f"{public_url}/"})
    return f"{logout_url}{'&' if urlsplit(logout_url).query else '?'}{query}"


class SignInRedirects:
    """Keeps the requested page in a short-lived HttpOnly cookie during the hosted sign-in; rewrites the logout."""

    def __init__(self, app: ASGIApp, *, logout_to: str) -> None:
        self.app = app
        self.logout_to = logout_to

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] not in (LOGIN_PATH, LOGOUT_PATH, CALLBACK_PATH):
            await self.app(scope, receive, send)
            return
        request = Request(scope)

        async def send_mended(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._mend(request, MutableHeaders(scope=message))
            await send(message)

        await self.app(scope, receive, send_mended)

    def _mend(self, request: Request, headers: MutableHeaders) -> None:
        path = request.scope["path"]
        if "location" not in headers:
            return
        if path == LOGOUT_PATH:
            headers["location"] = self.logout_to
        elif path == LOGIN_PATH:
            wanted = page_of_referer(request.headers.get("referer", ""), request.headers.get("host", ""))
            if wanted and wanted != "/":
                headers.append("set-cookie", _cookie(quote(wanted, safe=""), COOKIE_MAX_AGE_S))
        elif any(c.startswith("_streamlit_user=") for c in headers.getlist("set-cookie")):
            wanted = safe_path(unquote(request.cookies.get(COOKIE, "")))
            if wanted:
                headers["location"] = wanted
            headers.append("set-cookie", _cookie("", 0))


def _cookie(value: str, max_age_s: int) -> str:
    return f"{COOKIE}={value}; Path={CALLBACK_PATH}; Max-Age={max_age_s}; HttpOnly; SameSite=Lax"
