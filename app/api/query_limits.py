"""Refuses query strings of many parameters before they are parsed and validated on the event loop."""

from __future__ import annotations

from http import HTTPStatus

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.problems import problem_response

# No route has more than a few. The thousands that fit into a request's head would take 50 ms to refuse one by one.
MAX_PARAMETERS = 100


class QueryLimits:
    """Answers 400 to a query string with too many parameters."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope.get("query_string", b"").count(b"&") >= MAX_PARAMETERS:
            refusal = problem_response(
                Request(scope),
                HTTPStatus.BAD_REQUEST,
                "too_many_parameters",
                f"The query has over {MAX_PARAMETERS} parameters. Send only the documented ones.",
            )
            await refusal(scope, receive, send)
            return
        await self.app(scope, receive, send)
