"""Handing claimed jobs to their endpoints."""

from __future__ import annotations

import logging

from services.aws.endpoints import MAX_INLINE_BYTES, Endpoints, Invocation
from services.aws.objects import Objects
from services.backends.container_contract import payload
from services.backends.failures import job_failure
from services.errors import BadOutput, InvalidRequest, NotFound, Unavailable
from services.jobs.inputs import Inputs
from services.logs import event
from services.records import Job, JobFailure
from services.settings import Settings
from services.store import keys
from services.store.jobs import JobStore

# The first look for a lost notification after an invocation, and the ones that follow.
CHECK_S = 30.0
# The container gives up this much before the endpoint does, which would stop it together with what else it draws.
ANSWER_S = 5.0
ANSWER_SHARE = 0.1


class Dispatcher:
    """Invokes endpoints; whose turn it is, `turns.py` decides."""

    def __init__(
        self, store: JobStore, endpoints: Endpoints, inputs: Inputs, outputs: Objects, settings: Settings
    ) -> None:
        self._store = store
        self._endpoints = endpoints
        self._inputs = inputs
        self._outputs = outputs
        self._settings = settings

    @property
    def drawing_s(self) -> float:
        """How long the container may take for an attempt: the invocation's time-out, less what the answer takes."""
        timeout_s = self._settings.job_timeout_s
        return timeout_s - min(ANSWER_S, timeout_s * ANSWER_SHARE)

    def invoke(self, job: Job) -> Job | JobFailure:
        """Calls the endpoint for a claimed job and records that it was accepted.

        A failure comes back when the endpoint or the input can never be used; a passing fault leaves the job claimed
        for the sweeper. Two AWS calls, one more for each picture that came with the job, one when the payload is too
        large to go inline.
        """
        endpoint = self._settings.endpoints.get(job.spec.model)
        if endpoint is None:
            return job_failure("model_withdrawn")
        prefix = keys.job_prefix(job.user_id, job.id)
        try:
            pictures = self._inputs.of(job)
        except (NotFound, BadOutput) as exc:
            event("input_lost", level=logging.ERROR, exc=exc, job=job.id, user=job.user_id)
            return job_failure("input_lost")
        body = payload(
            job,
            outputs_bucket=self._outputs.bucket,
            prefix=prefix,
            deadline_s=self.drawing_s,
            pictures=pictures,
        )
        input_uri = self._inputs.put_payload(job, body) if len(body) > MAX_INLINE_BYTES else None
        invocation = Invocation(
            endpoint=endpoint,
            inference_id=keys.inference_id(job.user_id, job.id, job.attempt),
            prefix=prefix,
            filename=keys.attempt_file(job.attempt),
            ttl_s=self._settings.job_ttl_s,
            timeout_s=self._settings.job_timeout_s,
            body=None if input_uri else body,
            input_uri=input_uri,
        )
        try:
            failure_uri = self._endpoints.invoke(invocation)
        except Unavailable as exc:
            event("invoke_postponed", level=logging.WARNING, job=job.id, user=job.user_id, reason=exc.code)
            return job
        except InvalidRequest as exc:
            event("invoke_refused", level=logging.ERROR, exc=exc, job=job.id, user=job.user_id)
            return job_failure("endpoint_refused")
        event("job_invoked", job=job.id, user=job.user_id, attempt=job.attempt)
        try:
            return self._store.confirm(job, failure_uri=failure_uri, due_s=CHECK_S)
        except Unavailable as exc:
            # It runs; the sweeper sees its progress or output and does not invoke it again.
            event("confirm_postponed", level=logging.WARNING, exc=exc, job=job.id, user=job.user_id)
            return job
