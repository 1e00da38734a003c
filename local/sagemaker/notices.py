"""Notification messages and failure objects for ended requests."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from local.sagemaker.journal import Entry
from local.sagemaker.locations import S3Location
from local.sagemaker.wire import timestamp


@dataclass(frozen=True)
class Failure:
    """The reason for a failure and the failure object to write. `cause` is one word for the log."""

    cause: str
    reason: str
    body: bytes
    content_type: str


def model_failure(status: int, body: bytes, content_type: str) -> Failure:
    """Return the failure for an error response of the container; that response is the failure object."""
    side = "client" if status < 500 else "server"
    return Failure(
        f"model_{status}",
        f"ClientError: Received {side} error ({status}) from model. "
        "See the SageMaker Endpoint logs in your account for more information.",
        body,
        content_type,
    )


def endpoint_failure(cause: str, reason: str) -> Failure:
    """There is no whole answer of the container: the failure object is plain text, as SageMaker's own are."""
    return Failure(cause, f"ModelError: {reason}", f"ModelError: {reason}".encode(), "text/plain")


def completed(
    region: str, endpoint: str, entry: Entry, now: float, output: S3Location, content_type: str
) -> str:
    """Return the message for the success topic."""
    return _message(
        region,
        endpoint,
        entry,
        now,
        invocationStatus="Completed",
        responseParameters={"contentType": content_type, "outputLocation": str(output)},
    )


def failed(
    region: str, endpoint: str, entry: Entry, now: float, reason: str, location: S3Location | None
) -> str:
    """Return the message for the error topic; `location` is None if no failure object could be written."""
    where = {"failureLocation": str(location)} if location else {}
    return _message(region, endpoint, entry, now, invocationStatus="Failed", failureReason=reason, **where)


def expired(region: str, endpoint: str, entry: Entry, now: float) -> str:
    """Return the message for the error topic about a request that was never run."""
    return _message(
        region,
        endpoint,
        entry,
        now,
        invocationStatus="Expired",
        failureReason=f"The request was older than its RequestTTLSeconds ({entry.request.ttl_s}) before it could run.",
    )


def _message(region: str, endpoint: str, entry: Entry, now: float, **members: Any) -> str:
    request = entry.request
    parameters = {
        "contentType": request.content_type,
        "endpointName": endpoint,
        "inputLocation": request.input_location,
    }
    return json.dumps(
        {
            "awsRegion": region,
            "eventTime": timestamp(now),
            "receivedTime": timestamp(entry.received_at),
            "requestParameters": {name: value for name, value in parameters.items() if value is not None},
            "inferenceId": request.inference_id,
            "eventVersion": "1.0",
            "eventSource": "aws:sagemaker",
            "eventName": "InferenceResult",
            **members,
        }
    )
