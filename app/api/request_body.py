"""Reads a JSON body strictly, up to the largest valid request."""

from __future__ import annotations

import json
from typing import NoReturn, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect
from starlette.types import Receive

from app.api.problems import (
    BodyTooLarge,
    BodyUnreadable,
    InvalidFields,
    WrongContentType,
    field_problems,
)
from app.api.threads import in_thread

# The most the model's container reads: a job may include two pictures.
MAX_BODY_BYTES = 16 * 1024 * 1024
TOO_LARGE = f"The body is over {MAX_BODY_BYTES} bytes. Shorten it, or send smaller pictures."
# Above this, reading takes longer than other requests should wait.
MAX_PARSED_ON_LOOP_BYTES = 64 * 1024
M = TypeVar("M", bound=BaseModel)


async def read_json(request: Request, model: type[M]) -> M:
    """Parses the request's body as a `model` with strict types ("7" is not a number).

    Raises WrongContentType, BodyTooLarge, BodyUnreadable, InvalidFields.
    """
    content_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if content_type != "application/json":
        raise WrongContentType("Send the body as `Content-Type: application/json`.")
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > MAX_BODY_BYTES:
        raise BodyTooLarge(TOO_LARGE, more_to_come=True)
    body = await _read(request.receive)
    value = _parse(body) if len(body) <= MAX_PARSED_ON_LOOP_BYTES else await in_thread(_parse, body)
    try:
        return model.model_validate(value, strict=True)
    except ValidationError as exc:
        known = tuple(model.model_fields)
        errors = exc.errors(include_url=False, include_context=False, include_input=False)
        raise InvalidFields(field_problems(errors, known)) from None


async def _read(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise ClientDisconnect
        body += message.get("body", b"")
        more: bool = message.get("more_body", False)
        if len(body) > MAX_BODY_BYTES:
            raise BodyTooLarge(TOO_LARGE, more_to_come=more)
        if not more:
            return bytes(body)


def _parse(body: bytes) -> object:
    try:
        return json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
    except json.JSONDecodeError as exc:
        raise BodyUnreadable(
            f"The body is not JSON: {exc.msg} at line {exc.lineno}, column {exc.colno}."
        ) from None
    # Not UTF-8, a number with thousands of digits, NaN, or too deeply nested brackets.
    except (ValueError, RecursionError):
        raise BodyUnreadable(
            "The body is not JSON: it must be UTF-8, with ordinary numbers and little nesting."
        ) from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)
