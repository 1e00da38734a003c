"""The API's errors: RFC 9457 documents, and the outermost wrapper that hides internal details."""

from __future__ import annotations

import itertools
import json
import logging
import secrets
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, cast

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field, JsonValue
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.errors import InvalidRequest, Moderated, NotSignedIn, StudioError
from services.logs import event

MEDIA_TYPE = "application/problem+json"
REQUEST_ID_HEADER = "x-request-id"
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
# More do not help, and each costs time and bytes.
MOST_PROBLEMS = 20


class FieldProblem(BaseModel):
    """One of several fields to change."""

    param: str
    detail: str


class Moderation(BaseModel):
    """Which rule a text broke; `span` is [start, end) in characters of the text as it was sent."""

    rule: str
    category: str
    span: tuple[int, int]


class Problem(BaseModel):
    """An RFC 9457 problem. Branch on `code`, show `detail`, quote `request_id` when asking for help."""

    type: str = Field(default="about:blank", description="Always `about:blank`: `code` tells problems apart.")
    title: str = Field(description="The HTTP status in words.")
    status: int
    detail: str = Field(description="What was wrong and what to change.")
    instance: str = Field(description="The path that was asked for.")
    code: str = Field(description="Stable and machine-readable.")
    param: str | None = Field(default=None, description="The field, parameter or header to change.")
    request_id: str
    errors: list[FieldProblem] | None = Field(default=None, description="All fields, when there are several.")
    moderation: Moderation | None = None


class BadCredentials(StudioError):
    """The credentials of the request are ambiguous."""

    status = 400
    code = "ambiguous_credentials"


class BodyUnreadable(StudioError):
    """The body is not valid JSON."""

    status = 400
    code = "invalid_json"


class BodyTooLarge(StudioError):
    """The body exceeds the size limit."""

    status = 413
    code = "body_too_large"


class WrongContentType(StudioError):
    """The body is not declared as JSON."""

    status = 415
    code = "unsupported_media_type"


class InvalidFields(InvalidRequest):
    """Several fields are invalid; the first one is also `param`."""

    def __init__(self, fields: Sequence[FieldProblem]) -> None:
        super().__init__(fields[0].detail, param=fields[0].param)
        self.fields = fields


class ProblemResponse(Response):
    """Writes a problem document; text that is not valid Unicode is replaced rather than failing."""

    media_type = MEDIA_TYPE

    def render(self, content: Any) -> bytes:
        return json.dumps(content, ensure_ascii=False).encode("utf-8", "replace")


def request_id(scope: Scope) -> str:
    """Returns the request's id, from `app/middleware/request_id.py` or else from `Edge`."""
    return cast(str, scope.get("state", {}).get("request_id", ""))


def problem_response(
    request: Request,
    status: int,
    code: str,
    detail: str,
    *,
    param: str | None = None,
    headers: Mapping[str, str] | None = None,
    errors: Sequence[FieldProblem] | None = None,
    moderation: Moderation | None = None,
) -> Response:
    """Builds the response for a problem of this request."""
    problem = Problem(
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        instance=request.url.path,
        code=code,
        param=param,
        request_id=request_id(request.scope),
        errors=list(errors) if errors else None,
        moderation=moderation,
    )
    return ProblemResponse(problem.model_dump(exclude_none=True), status_code=status, headers=headers)


def field_problems(errors: Iterable[Mapping[str, Any]], known: Iterable[str] = ()) -> list[FieldProblem]:
    """Converts the first of Pydantic's errors to messages; omits values and truncates names to 100 characters."""
    found = []
    for error in itertools.islice(errors, MOST_PROBLEMS):
        path = [str(part) for part in error["loc"] if part not in ("body", "query", "path", "header")]
        name = ".".join(path)[:100] or "body"
        match error["type"]:
            case "missing":
                detail = f"{name} is missing; it is required."
            case "extra_forbidden":
                detail = (
                    f"There is no {name} here. Known: {', '.join(known)}." if known else f"Unknown: {name}."
                )
            case _:
                detail = f"{name}: {error['msg']}."
        found.append(FieldProblem(param=name, detail=detail))
    return found


def install(app: FastAPI) -> None:
    """Converts every failure of `app` to a problem document."""
    app.add_middleware(HeadAsGet)
    app.add_middleware(Edge)
    app.add_exception_handler(StudioError, _studio_error)
    app.add_exception_handler(RequestValidationError, _invalid_parameters)
    app.add_exception_handler(HTTPException, _http_exception)


async def _studio_error(request: Request, exc: Exception) -> Response:
    error = cast(StudioError, exc)
    if error.status >= 500 and not error.retryable:
        return _internal(request, error)
    headers: dict[str, str] = {}
    retry_after_s = getattr(error, "retry_after_s", None)
    if retry_after_s is not None:
        headers["Retry-After"] = str(max(1, round(retry_after_s)))
    if isinstance(error, NotSignedIn):
        sent = "authorization" in request.headers or "x-api-key" in request.headers
        headers["WWW-Authenticate"] = 'Bearer realm="atelier"' + (', error="invalid_token"' if sent else "")
        event("access_refused", level=logging.WARNING, code=error.code, request=request_id(request.scope))
    moderation = None
    if isinstance(error, Moderated):
        moderation = Moderation(rule=error.rule, category=error.category, span=error.span)
    return problem_response(
        request,
        error.status,
        error.code,
        error.message,
        param=error.param if isinstance(error, InvalidRequest) else None,
        headers=headers,
        errors=error.fields if isinstance(error, InvalidFields) and len(error.fields) > 1 else None,
        moderation=moderation,
    )


async def _invalid_parameters(request: Request, exc: Exception) -> Response:
    fields = field_problems(cast(RequestValidationError, exc).errors())
    return problem_response(
        request,
        422,
        InvalidRequest.code,
        fields[0].detail,
        param=fields[0].param,
        errors=fields if len(fields) > 1 else None,
    )


async def _http_exception(request: Request, exc: Exception) -> Response:
    error = cast(HTTPException, exc)
    code, detail = {
        404: ("unknown_address", "There is nothing at this address; /v1/openapi.json lists what there is."),
        405: (
            "method_not_allowed",
            "This address does not take that method; the Allow header lists what it does.",
        ),
    }.get(error.status_code, ("http_error", HTTPStatus(error.status_code).phrase))
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(sorted(_allowed_methods(request)))
    return problem_response(request, error.status_code, code, detail, headers=headers)


def _allowed_methods(request: Request) -> set[str]:
    """Returns the methods of all routes at this address; Starlette names those of the first only."""
    allowed = {
        method
        for method in METHODS
        for route in request.app.router.routes
        if route.matches({**request.scope, "method": method})[0] is Match.FULL
    }
    return allowed | ({"HEAD"} if "GET" in allowed else set())


def _internal(request: Request, exc: Exception) -> Response:
    event(
        "request_failed",
        level=logging.ERROR,
        exc=exc,
        request=request_id(request.scope),
        method=request.method,
    )
    return problem_response(
        request,
        500,
        StudioError.code,
        "Something went wrong on our side. Try again; if it stays, tell the operator the request_id.",
    )


class HeadAsGet:
    """Answers HEAD wherever GET is, as GET without the body."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return

        async def send_head(message: Message) -> None:
            await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

        await self.app({**scope, "method": "GET"}, receive, send_head)


class Edge:
    """The outermost wrapper: a request id, `Cache-Control: no-store`, and a 500 without internal details."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        own_id = "" if request_id(scope) else secrets.token_hex(12)
        if own_id:
            scope.setdefault("state", {})["request_id"] = own_id
        started = False

        async def send_private(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                # Responses contain signed links and belong to one caller.
                headers.setdefault("cache-control", "no-store")
                if own_id:
                    headers[REQUEST_ID_HEADER] = own_id
            await send(message)

        try:
            await self.app(scope, receive, send_private)
        except ClientDisconnect:
            # Nobody reads an answer, and nothing failed here.
            event("client_left", request=request_id(scope))
        except Exception as exc:
            if started:
                raise
            await _internal(Request(scope), exc)(scope, receive, send_private)


# The error responses of operations, for the OpenAPI document.
DESCRIPTIONS: Mapping[int, str] = {
    400: "The request cannot be read: its body is not JSON, or it has two credentials or over 100 parameters.",
    401: "No credential, or one that is expired, forged or of the wrong type.",
    404: "There is no such thing, or it is somebody else's: the two look the same.",
    409: "Its state does not allow this, or the same `Idempotency-Key` is being worked on (`Retry-After`).",
    413: "The body is over 16 MiB.",
    415: "The body is not declared as `application/json`.",
    422: "A field, parameter or header is wrong; `param` names it, `detail` says what to change.",
    429: "A quota or budget would be passed; `Retry-After` where waiting helps.",
    500: "Our fault; `request_id` is the reference to give.",
    503: "A dependency is busy or away; ask again after `Retry-After` seconds.",
}


def problem_responses(*statuses: int) -> dict[int | str, dict[str, JsonValue]]:
    """Returns the OpenAPI `responses` of an operation: the given statuses and those of every operation."""
    content: JsonValue = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        status: {"description": DESCRIPTIONS[status], "content": content}
        for status in sorted({*statuses, 400, 401, 500, 503})
    }
