"""Makes problem documents of errors that other middleware answers in its own form or with no readable body."""

from __future__ import annotations

import re
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.problems import MEDIA_TYPE, problem_response

# Streamlit refuses some paths, such as `/v1/..%2Fme`, before a route sees them.
_OF_THE_API = re.compile(r"/+v1(?![a-z0-9_-])", re.IGNORECASE)
_UNREADABLE = (
    "This path cannot be read: it has two slashes, or an encoded character that no address here has."
)


class OuterProblems:
    """Replaces the body of an error response below `/v1` unless it is a problem document.

    On other paths, which begin as `/%2e%2e/v1` for example, it replaces that of a 400 without a content type.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        is_api = _OF_THE_API.match(scope["path"]) is not None
        replaced = False

        async def send_problem(message: Message) -> None:
            nonlocal replaced
            if replaced:
                return
            if message["type"] == "http.response.start" and message["status"] >= 400:
                kind = Headers(raw=message["headers"]).get("content-type", "").split(";")[0]
                refused_path = message["status"] == HTTPStatus.BAD_REQUEST and not kind
                if refused_path or (is_api and kind != MEDIA_TYPE):
                    replaced = True
                    await _problem(scope, message["status"])(scope, receive, send)
                    return
            await send(message)

        await self.app(scope, receive, send_problem)


def _problem(scope: Scope, status: int) -> ASGIApp:
    detail = _UNREADABLE if status == HTTPStatus.BAD_REQUEST else HTTPStatus(status).phrase
    return problem_response(
        Request(scope), status, "http_error", detail, headers={"Cache-Control": "no-store"}
    )
