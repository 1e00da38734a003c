"""Redirects a laptop's browser from another loopback name to the host that sign-in and cookies use."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
# Paths that pages and programs fetch, which are not pages.
NOT_PAGES = ("/v1", "/healthz", "/_stcore", "/static", "/media", "/component")


class OneAddress:
    """Redirects page requests for `127.0.0.1` to `public_url` when that says `localhost`, and the other way round.

    A sign-in that starts at one name and returns to the other would not find its cookie.
    """

    def __init__(self, app: ASGIApp, *, public_url: str) -> None:
        self.app = app
        self.public_url = public_url
        self.host = urlsplit(public_url).netloc.lower()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._elsewhere(scope):
            query = scope.get("query_string", b"").decode("latin-1")
            # One slash only: two would name another host.
            path = "/" + scope["path"].lstrip("/")
            target = f"{self.public_url}{path}{'?' + query if query else ''}"
            await RedirectResponse(target, status_code=307)(scope, receive, send)
            return
        await self.app(scope, receive, send)

    def _elsewhere(self, scope: Scope) -> bool:
        if scope["type"] != "http" or scope["method"] not in {"GET", "HEAD"}:
            return False
        headers = Headers(scope=scope)
        # Browsers send this for pages; a program's probe may use any name.
        if "text/html" not in headers.get("accept", ""):
            return False
        asked = headers.get("host", "").lower()
        name, _, port = asked.rpartition(":")
        own, _, own_port = self.host.rpartition(":")
        other_name = port == own_port and name != own and {name, own} <= LOOPBACK_NAMES
        return other_name and not scope["path"].startswith(NOT_PAGES)
