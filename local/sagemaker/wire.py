"""SageMaker's wire protocol: parses and validates requests, and builds responses and errors (botocore 1.44.5)."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from local.sagemaker.locations import BadLocation, S3Location

MAX_INLINE_BYTES = 128_000
MAX_SYNC_BYTES = 6_291_456
SYNC_LIMIT_S = 60.0
DEFAULT_TTL_S = 21_600
DEFAULT_TIMEOUT_S = 900
DEFAULT_CONTENT_TYPE = "application/octet-stream"

_PRINTABLE = re.compile(r"[\x21-\x7e][\x20-\x7e]*\Z")
_ASCII = re.compile(r"[\x00-\x7f]*\Z")
_INPUT_LOCATION = re.compile(r"(https|s3)://([^/]+)/?(.*)\Z")
_EXTENSION = re.compile(r"(?!s3:|https:)[a-zA-Z0-9!_.*'()/-]+\Z")
_FILENAME = re.compile(r"(?!.*\..*\.)[a-zA-Z0-9][a-zA-Z0-9\-_.]*\Z")


class WireError(Exception):
    """An error response: HTTP `status`, botocore's error `code`, and additional members."""

    def __init__(self, status: int, code: str, message: str, **members: Any) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.members = members


def validation_error(message: str) -> WireError:
    """Return the runtime's ValidationError: caused by the caller, not retried by botocore."""
    return WireError(400, "ValidationError", message)


@dataclass(frozen=True)
class AsyncRequest:
    """An `InvokeEndpointAsync` request to be queued. `body` is None exactly when `input_location` is set."""

    inference_id: str
    body: bytes | None
    input_location: str | None
    content_type: str | None
    accept: str | None
    custom_attributes: str | None
    extension: str | None
    filename: str | None
    ttl_s: int
    timeout_s: int


@dataclass(frozen=True)
class SyncRequest:
    """An `InvokeEndpoint` request."""

    body: bytes
    content_type: str | None
    accept: str | None
    custom_attributes: str | None
    inference_id: str | None


def async_request(headers: Mapping[str, str], body: bytes) -> AsyncRequest:
    """Parses `InvokeEndpointAsync`. Raises WireError (ValidationError) naming the invalid member."""
    location = _text(headers, "InputLocation", "inputLocation", 1024, _INPUT_LOCATION)
    if location is not None and body:
        raise validation_error("Body and InputLocation are mutually exclusive. Provide exactly one of them.")
    if location is None and not body:
        raise validation_error("Provide exactly one of Body and InputLocation: neither was given.")
    if len(body) > MAX_INLINE_BYTES:
        raise validation_error(
            f"Value at 'body' failed to satisfy constraint: Member must have length less than or equal to "
            f"{MAX_INLINE_BYTES}; larger payloads go by InputLocation."
        )
    if location is not None:
        try:
            S3Location.parse(location)
        except BadLocation as exc:
            raise validation_error(f"InputLocation {exc}") from exc
    return AsyncRequest(
        inference_id=_text(headers, "Inference-Id", "inferenceId", 64, _PRINTABLE) or str(uuid.uuid4()),
        body=None if location is not None else body,
        input_location=location,
        content_type=_text(headers, "Content-Type", "contentType", 1024, _ASCII, minimum=0),
        accept=_text(headers, "Accept", "accept", 1024, _ASCII, minimum=0),
        custom_attributes=_text(headers, "Custom-Attributes", "customAttributes", 1024, _ASCII, minimum=0),
        extension=_text(headers, "S3OutputPathExtension", "s3OutputPathExtension", 512, _EXTENSION),
        filename=_text(headers, "Filename", "filename", 32, _FILENAME),
        ttl_s=_number(headers, "RequestTTLSeconds", "requestTTLSeconds", 60, 21_600, DEFAULT_TTL_S),
        timeout_s=_number(
            headers, "InvocationTimeoutSeconds", "invocationTimeoutSeconds", 1, 3600, DEFAULT_TIMEOUT_S
        ),
    )


def sync_request(headers: Mapping[str, str], body: bytes) -> SyncRequest:
    """Parses `InvokeEndpoint`. Raises WireError (ValidationError) naming the invalid member."""
    if len(body) > MAX_SYNC_BYTES:
        raise validation_error(
            f"Value at 'body' failed to satisfy constraint: Member must have length less than or equal to "
            f"{MAX_SYNC_BYTES}."
        )
    return SyncRequest(
        body=body,
        content_type=headers.get("content-type"),
        accept=headers.get("accept"),
        custom_attributes=_text(headers, "Custom-Attributes", "customAttributes", 1024, _ASCII, minimum=0),
        inference_id=_text(headers, "Inference-Id", "inferenceId", 64, _PRINTABLE),
    )


def require_signature(headers: Mapping[str, str]) -> None:
    """Refuses an unsigned request, as the service does. Does not verify the signature itself."""
    if not headers.get("authorization", "").startswith("AWS4-HMAC-SHA256 Credential="):
        raise WireError(403, "MissingAuthenticationTokenException", "Missing Authentication Token")


def error_body(error: WireError, *, json_protocol: bool) -> tuple[bytes, dict[str, str]]:
    """Return the error's body and headers: REST-JSON for the runtime, JSON 1.1 for the control plane."""
    body: dict[str, Any] = {"Message": error.message, **error.members}
    if json_protocol:
        body = {"__type": error.code, "message": error.message, **error.members}
    return json.dumps(body).encode(), {
        "x-amzn-errortype": error.code,
        "content-type": "application/x-amz-json-1.1" if json_protocol else "application/json",
    }


def timestamp(seconds: float) -> str:
    """Return RFC 3339 in UTC with milliseconds, the format used in notifications."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def container_headers(request: AsyncRequest | SyncRequest) -> dict[str, str]:
    """Return the headers that SageMaker passes to the container."""
    headers = {"Content-Type": request.content_type or DEFAULT_CONTENT_TYPE}
    if request.accept:
        headers["Accept"] = request.accept
    if request.custom_attributes:
        headers["X-Amzn-SageMaker-Custom-Attributes"] = request.custom_attributes
    if request.inference_id:
        headers["X-Amzn-SageMaker-Inference-Id"] = request.inference_id
    return headers


def _text(
    headers: Mapping[str, str],
    header: str,
    member: str,
    maximum: int,
    pattern: re.Pattern[str],
    *,
    minimum: int = 1,
) -> str | None:
    value = headers.get(f"x-amzn-sagemaker-{header.lower()}")
    if value is None:
        return None
    if not minimum <= len(value) <= maximum:
        raise _constraint(member, f"Member must have length between {minimum} and {maximum}")
    if not pattern.match(value):
        raise _constraint(member, f"Member must satisfy regular expression pattern: {pattern.pattern}")
    return value


def _number(
    headers: Mapping[str, str], header: str, member: str, minimum: int, maximum: int, default: int
) -> int:
    value = headers.get(f"x-amzn-sagemaker-{header.lower()}")
    if value is None:
        return default
    if not re.fullmatch(r"[+-]?\d{1,10}", value):
        raise _constraint(member, "Member must be an integer")
    if int(value) < minimum:
        raise _constraint(member, f"Member must have value greater than or equal to {minimum}")
    if int(value) > maximum:
        raise _constraint(member, f"Member must have value less than or equal to {maximum}")
    return int(value)


def _constraint(member: str, rule: str) -> WireError:
    return validation_error(
        f"1 validation error detected: Value at '{member}' failed to satisfy constraint: {rule}"
    )
