"""Models in our own container behind SageMaker asynchronous endpoints: answers by S3, notifications by SNS and SQS."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from services.aws.endpoints import MAX_INLINE_BYTES, Endpoints, Invocation
from services.aws.objects import Objects
from services.backends.base import (
    Abilities,
    Accepted,
    Attempt,
    AttemptFailure,
    BySeconds,
    DrawnResult,
    Ending,
    Found,
    Notification,
    Progress,
    Refused,
    Sighting,
    Stopped,
)
from services.backends.container_contract import (
    DEADLINE_EXCEEDED,
    HANDED_BACK,
    MAX_ANSWER_BYTES,
    payload,
    read_answer,
    read_failure,
)
from services.backends.failures import job_failure
from services.backends.progress import read_progress
from services.errors import BadOutput, InvalidRequest, NotFound
from services.logs import event
from services.records import EndpointInfo, EndpointState, Job
from services.settings import Settings
from services.store import keys

MAX_FAILURE_BYTES = 64 * 1024
# These failures are retried if the model had not begun the job.
UNBEGUN = frozenset({DEADLINE_EXCEEDED, "model_crashed"})
ENDINGS = {"Completed": Ending.COMPLETED, "Expired": Ending.EXPIRED}


class SageMakerAsync:
    """Invokes the endpoint that the settings assign to the model, and reads what its container writes."""

    abilities = Abilities(reports_progress=True, cancels_running=True, batches=True)
    pricing = BySeconds()

    def __init__(self, endpoints: Endpoints, inputs: Objects, outputs: Objects, settings: Settings) -> None:
        self._endpoints = endpoints
        self._names: Mapping[str, str] = settings.endpoints
        self._inputs = inputs
        self._outputs = outputs
        self._ttl_s = settings.job_ttl_s
        self._timeout_s = settings.job_timeout_s

    def submit(self, attempt: Attempt) -> Accepted | Refused:
        """Invokes the endpoint. One AWS call, two if the payload is too large for the request."""
        job = attempt.job
        endpoint = self._names.get(job.spec.model)
        if endpoint is None:
            return Refused(job_failure("model_withdrawn"))
        prefix = keys.job_prefix(job.user_id, job.id)
        body = payload(
            job,
            outputs_bucket=self._outputs.bucket,
            prefix=prefix,
            deadline_s=attempt.drawing_s,
            pictures=attempt.pictures,
        )
        input_uri = self._put_payload(job, body) if len(body) > MAX_INLINE_BYTES else None
        invocation = Invocation(
            endpoint=endpoint,
            inference_id=keys.inference_id(job.user_id, job.id, job.attempt),
            prefix=prefix,
            filename=keys.attempt_file(job.attempt),
            ttl_s=self._ttl_s,
            timeout_s=self._timeout_s,
            body=None if input_uri else body,
            input_uri=input_uri,
        )
        try:
            return Accepted(failure_uri=self._endpoints.invoke(invocation))
        except InvalidRequest as exc:
            event("invoke_refused", level=logging.ERROR, exc=exc, job=job.id, user=job.user_id)
            return Refused(job_failure("endpoint_refused"))

    def _put_payload(self, job: Job, body: bytes) -> str:
        key = keys.output_key(job.user_id, job.id, job.attempt)
        self._inputs.put(key, body, content_type="application/json")
        return f"s3://{self._inputs.bucket}/{key}"

    def poll(self, job: Job) -> Sighting:
        """Looks for the attempts' outputs, newest first, then for the failure object. One AWS call each."""
        for attempt in range(job.attempt, 0, -1):
            if self._outputs.exists(keys.output_key(job.user_id, job.id, attempt)):
                return Sighting(Found.RESULT, attempt)
        # The location of a failure is unknown before the invocation.
        key = self._failure_key(job, job.failure_uri)
        failed = key is not None and self._outputs.exists(key)
        return Sighting(Found.FAILURE if failed else Found.NOTHING, job.attempt)

    def result(self, job: Job, attempt: int) -> DrawnResult | Stopped:
        """Returns the container's verified answer. One AWS call."""
        raw = self._outputs.get(keys.output_key(job.user_id, job.id, attempt), max_bytes=MAX_ANSWER_BYTES)
        return read_answer(raw, job)

    def explain(self, job: Job, reason: str, failure_uri: str | None) -> AttemptFailure:
        """Reads the failure object at the location in the notification or the invocation's answer; at most two AWS
        calls.

        An attempt is undone if the container returned it, or if it waited in the container's queue until its time was
        over or the container died of another job.
        """
        failure = read_failure(self._failure_object(job, failure_uri or job.failure_uri), reason)
        undone = failure.code in HANDED_BACK or (failure.code in UNBEGUN and not self.has_begun(job))
        return AttemptFailure(failure, undone=undone)

    def has_begun(self, job: Job) -> bool:
        """Whether the container has written the attempt's progress object. One AWS call."""
        return self._outputs.exists(keys.progress_key(job.user_id, job.id, job.attempt))

    def progress(self, job: Job) -> Progress | None:
        """Returns the attempt's progress object. One AWS call."""
        return read_progress(self._outputs, job)

    def read_notification(self, body: str) -> Notification | None:
        """Parses SNS's delivery about an endpoint, raw or wrapped (docs/contracts.md)."""
        message = _json_object(body)
        # An SNS subscription without raw delivery wraps the message.
        if "Message" in message and "TopicArn" in message:
            message = _json_object(str(message["Message"]))
        parts = keys.split_inference_id(str(message.get("inferenceId", "")))
        if parts is None:
            return None
        response = message.get("responseParameters")
        nested = response.get("failureLocation") if isinstance(response, dict) else None
        location = message.get("failureLocation") or nested
        return Notification(
            *parts,
            ending=ENDINGS.get(str(message.get("invocationStatus")), Ending.FAILED),
            reason=str(message.get("failureReason", "")),
            failure_uri=str(location) if location else None,
        )

    def cancel(self, job: Job) -> None:
        """Writes the marker that the container checks at each step. One AWS call."""
        marker = keys.cancel_marker(job.user_id, job.id)
        self._outputs.put(marker, b"", content_type="text/plain")

    def forget_cancel(self, job: Job) -> None:
        """Erases the marker. Two AWS calls."""
        self._outputs.erase(keys.cancel_marker(job.user_id, job.id))

    def erase(self, user_id: str, job_id: str) -> int:
        """Erases outputs, progress, previews, markers, and failure objects of a job."""
        erased = self._outputs.erase(keys.job_prefix(user_id, job_id) + "/")
        return erased + self._outputs.erase(keys.failures_prefix(user_id, job_id))

    def endpoint_of(self, model: str) -> str:
        """Returns the name of the SageMaker endpoint; empty for a model without one."""
        return self._names.get(model, "")

    def state(self, model: str) -> EndpointInfo:
        """Returns the result of DescribeEndpoint. One AWS call, none for a model without an endpoint."""
        if (name := self._names.get(model)) is not None:
            return self._endpoints.describe(model, name)
        return EndpointInfo(model=model, state=EndpointState.UNKNOWN, instances=0, read_at=datetime.now(UTC))

    def _failure_key(self, job: Job, uri: str | None) -> str | None:
        """Returns the key of a failure object of this job in our bucket; None for any other location."""
        prefix = f"s3://{self._outputs.bucket}/"
        if not uri or not uri.startswith(prefix):
            return None
        key = uri.removeprefix(prefix)
        return key if f"{keys.job_prefix(job.user_id, job.id)}/" in key else None

    def _failure_object(self, job: Job, uri: str | None) -> bytes | None:
        key = self._failure_key(job, uri)
        if key is None:
            return None
        try:
            return self._outputs.get(key, max_bytes=MAX_FAILURE_BYTES)
        except (NotFound, BadOutput):
            return None


def _json_object(text: str) -> dict[str, Any]:
    """Parses a JSON object; returns an empty one for anything else."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
