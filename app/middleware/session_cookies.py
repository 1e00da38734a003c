"""Tightens Streamlit's cookies: `Secure` under HTTPS, and a lifetime of at most one sign-in."""

from __future__ import annotations

import re

from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_AGE = re.compile(r"(?i)(;\s*max-age=)(\d+)")
SIGN_IN_COOKIE = "_streamlit_user"


def tightened(cookie: str, *, https: bool, max_age_s: int) -> str:
    """A `Set-Cookie` value with `Secure` added when `https`, a sign-in cookie's age cut to `max_age_s`."""
    if cookie.startswith(SIGN_IN_COOKIE):
        cookie = MAX_AGE.sub(lambda m: f"{m[1]}{min(int(m[2]), max_age_s)}", cookie)
    if https and not re.search(r"(?i);\s*secure(;|$)", cookie):
        cookie += "; Secure"
    return cookie


class SessionCookies:
    """Rewrites `Set-Cookie` headers; `max_age_s` is the longest a sign-in may last, in seconds."""

    def __init__(self, app: ASGIApp, *, https: bool, max_age_s: int) -> None:
        self.app = app
        self.https = https
        self.max_age_s = max_age_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_tightened(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    (name, self._rewritten(value) if name.lower() == b"set-cookie" else value)
                    for name, value in message.get("headers", [])
                ]
            await send(message)

        await self.app(scope, receive, send_tightened)

    def _rewritten(self, value: bytes) -> bytes:
        text = tightened(value.decode("latin-1"), https=self.https, max_age_s=self.max_age_s)
        return text.encode("latin-1")
