"""Distinguishes requests from our pages from those of other origins; refuses WebSockets from other origins."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

DEFAULT_PORTS = {"http": 80, "https": 443}


def origin_of(url: str) -> str:
    """Scheme, host and port of a URL as a browser writes them in `Origin`: lower case, without a default port."""
    parts = urlsplit(url.lower())
    host = parts.netloc.removesuffix(f":{DEFAULT_PORTS.get(parts.scheme)}")
    return f"{parts.scheme}://{host}"


def is_of_origin(headers: Headers, public_url: str) -> bool:
    """Whether a request that browsers send with an `Origin` (every POST) comes from a page of `public_url`."""
    return [one.lower() for one in headers.getlist("origin")] == [origin_of(public_url)]


class SameOrigin:
    """Accepts a WebSocket only if its `Origin` is that of `public_url` or missing.

    Browsers always send an `Origin`. They treat another port of the same host as the same site, so a page there would
    send the user's cookies; Streamlit accepts any port of localhost.
    """

    def __init__(self, app: ASGIApp, *, public_url: str) -> None:
        self.app = app
        self.origin = origin_of(public_url)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            given = Headers(scope=scope).getlist("origin")
            if given and [one.lower() for one in given] != [self.origin]:
                await receive()
                # Closed before it was accepted, which the server answers with a 403.
                await send({"type": "websocket.close", "code": 1008, "reason": "Another origin"})
                return
        await self.app(scope, receive, send)
