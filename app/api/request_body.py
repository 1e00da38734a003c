"""Reads a JSON body strictly, with bounds on its bytes, values and depth."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import NoReturn, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect
from starlette.types import Receive

from app.api.problems import (
    MOST_PROBLEMS,
    BodyTooLarge,
    BodyUnreadable,
    InvalidFields,
    WrongContentType,
    field_problems,
)
from app.api.threads import in_turn

# The most the model's container reads: a job may include two pictures.
MAX_PICTURES_BODY_BYTES = 16 * 1024 * 1024
MAX_TEXT_BODY_BYTES = 64 * 1024
# Above this, reading takes longer than other requests should wait.
MAX_PARSED_ON_LOOP_BYTES = 64 * 1024
# A prompt may have thousands of commas. A million values would take half a minute and 3 GB to refuse one by one.
MAX_MARKS = 10_000
MAX_DEPTH = 8
COUNTED_AT_ONCE_BYTES = 1024 * 1024
NOT_JSON = "The body is not JSON: it must be UTF-8, with ordinary numbers and little nesting."
M = TypeVar("M", bound=BaseModel)


async def read_json(request: Request, model: type[M], *, most_bytes: int = MAX_TEXT_BODY_BYTES) -> M:
    """Parses the request's body as a `model` with strict types ("7" is not a number).

    `null` means that an optional field is left out. Raises WrongContentType, BodyTooLarge, BodyUnreadable,
    InvalidFields.
    """
    content_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if content_type != "application/json":
        raise WrongContentType("Send the body as `Content-Type: application/json`.")
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > most_bytes:
        raise _too_large(most_bytes)
    body = await _read(request.receive, most_bytes)
    value = _parse(body) if len(body) <= MAX_PARSED_ON_LOOP_BYTES else await in_turn(_parse, body)
    fields = model.model_fields
    if isinstance(value, dict):
        _refuse_unknown(value, tuple(fields))
        optional = {name for name, field in fields.items() if not field.is_required()}
        value = {key: each for key, each in value.items() if each is not None or key not in optional}
    try:
        return model.model_validate(value, strict=True)
    except ValidationError as exc:
        errors = exc.errors(include_url=False, include_context=False, include_input=False)
        raise InvalidFields(field_problems(errors, tuple(fields))) from None


def _refuse_unknown(value: Mapping[str, object], known: Sequence[str]) -> None:
    """Raises InvalidFields, before the values are looked at, for many names that the model does not have."""
    unknown = [name for name in value if name not in known]
    if len(unknown) > MOST_PROBLEMS:
        errors = [{"loc": (name,), "type": "extra_forbidden"} for name in unknown[:MOST_PROBLEMS]]
        raise InvalidFields(field_problems(errors, known))


def _too_large(most_bytes: int) -> BodyTooLarge:
    return BodyTooLarge(f"The body is over {most_bytes} bytes. Shorten it, or send smaller pictures.")


async def _read(receive: Receive, most_bytes: int) -> bytearray:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise ClientDisconnect
        body += message.get("body", b"")
        if len(body) > most_bytes:
            raise _too_large(most_bytes)
        if not message.get("more_body", False):
            return body


def _parse(body: bytearray) -> object:
    # Counted before they are parsed, and in parts: a call into C holds all other threads until it returns.
    parts = (
        body[start : start + COUNTED_AT_ONCE_BYTES] for start in range(0, len(body), COUNTED_AT_ONCE_BYTES)
    )
    if sum(part.count(mark) for part in parts for mark in (b",", b"[", b"{")) > MAX_MARKS:
        raise BodyUnreadable("The body has too many values. Send one object with the documented fields.")
    try:
        value = json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
    except json.JSONDecodeError as exc:
        raise BodyUnreadable(
            f"The body is not JSON: {exc.msg} at line {exc.lineno}, column {exc.colno}."
        ) from None
    # Not UTF-8, a number with thousands of digits, NaN, or too deeply nested brackets.
    except (ValueError, RecursionError):
        raise BodyUnreadable(NOT_JSON) from None
    if _deeper_than(value, MAX_DEPTH):
        raise BodyUnreadable(NOT_JSON)
    return value


def _deeper_than(value: object, most: int) -> bool:
    level = [value]
    for _ in range(most + 1):
        inner = [each for each in level if isinstance(each, dict | list)]
        level = [each for one in inner for each in (one.values() if isinstance(one, dict) else one)]
        if not level:
            return False
    return True


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)
