"""Returns 404 for public Streamlit routes that the studio must not expose."""

from __future__ import annotations

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

# Metrics name sessions and memory; the agent API drives pages by HTTP.
CLOSED = ("/_stcore/metrics", "/_stcore/agent")


class ClosedPaths:
    """Refuses `CLOSED` paths and everything under them."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "").rstrip("/")
        if scope["type"] == "http" and any(path == c or path.startswith(f"{c}/") for c in CLOSED):
            await PlainTextResponse("Not found", status_code=404)(scope, receive, send)
            return
        await self.app(scope, receive, send)
