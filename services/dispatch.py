"""Handing jobs to the endpoints: as many as they can soon take, fairly by user (DESIGN 4)."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta

from services import keys
from services.answer import payload
from services.aws.endpoints import MAX_INLINE_BYTES, Endpoints, Invocation
from services.aws.objects import Objects
from services.errors import BadOutput, InvalidRequest, NotFound, Unavailable
from services.inputs import Inputs
from services.job_store import JobStore, now
from services.logs import event
from services.records import Job, JobFailure
from services.settings import Settings

# The first look for a lost notification after an invocation, and the ones that follow.
CHECK_S = 30.0
# The container gives up this much before the endpoint does, which would stop it together with what else it draws.
ANSWER_S = 5.0
ANSWER_SHARE = 0.1
# Between the endpoint's own limits and ours: notifications take a moment.
GRACE_S = 60


class Dispatcher:
    """Invokes endpoints for claimed jobs; whose turn it is, it decides from the waiting records."""

    def __init__(
        self, store: JobStore, endpoints: Endpoints, inputs: Inputs, outputs: Objects, settings: Settings
    ) -> None:
        self._store = store
        self._endpoints = endpoints
        self._inputs = inputs
        self._outputs = outputs
        self._settings = settings

    def has_room(self) -> bool:
        """True when another job may be invoked at once. One AWS call."""
        return self._store.running_count() < self._settings.dispatch_window

    def deadline(self, start: datetime) -> datetime:
        """When a job that is invoked at `start` must have ended."""
        settings = self._settings
        return start + timedelta(seconds=settings.job_ttl_s + settings.job_timeout_s + GRACE_S)

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
            return JobFailure(
                code="model_withdrawn",
                message="This model is no longer offered here. Choose another; nothing was charged.",
            )
        prefix = keys.job_prefix(job.user_id, job.id)
        try:
            pictures = self._inputs.of(job)
        except (NotFound, BadOutput) as exc:
            event("input_lost", level=logging.ERROR, exc=exc, job=job.id, user=job.user_id)
            return JobFailure(
                code="input_lost",
                message="The picture to draw over is no longer there. Send it again; nothing was charged.",
            )
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
            return JobFailure(
                code="endpoint_refused",
                message="The model's endpoint does not take this job. Tell the admin; nothing was charged.",
            )
        event("job_invoked", job=job.id, user=job.user_id, attempt=job.attempt)
        try:
            return self._store.confirm(job, failure_uri=failure_uri, due_s=CHECK_S)
        except Unavailable as exc:
            # It runs; the sweeper sees its progress or output and does not invoke it again.
            event("confirm_postponed", level=logging.WARNING, exc=exc, job=job.id, user=job.user_id)
            return job

    def next_jobs(self, *, closed: str | None = None) -> list[Job]:
        """Claims as many waiting jobs as there is room for and returns them, to be invoked.

        The user with the fewest jobs at the endpoint goes first, the oldest job among equals. `closed` is a job that
        just ended and may still be in the index. One AWS call when nobody waits.
        """
        waiting = [job for job in self._store.waiting() if job.id != closed]
        if not waiting:
            return []
        running = [job for job in self._store.running() if job.id != closed]
        room = self._settings.dispatch_window - len(running)
        load = Counter(job.user_id for job in running)
        claimed: list[Job] = []
        for job in turns(waiting, load):
            if len(claimed) >= room:
                break
            taken = self._store.claim(job, token=keys.new_id(), deadline_at=self.deadline(now()))
            if taken is not None:
                claimed.append(taken)
        return claimed


def turns(waiting: list[Job], load: Mapping[str, int]) -> list[Job]:
    """The waiting jobs in the order of their turn: least loaded user first, each turn adding to that user's load."""
    queues: dict[str, list[Job]] = {}
    for job in sorted(waiting, key=lambda job: job.id):
        queues.setdefault(job.user_id, []).append(job)
    loads = Counter({user: load.get(user, 0) for user in queues})
    order: list[Job] = []
    while queues:
        user = min(queues, key=lambda user: (loads[user], queues[user][0].id))
        order.append(queues[user].pop(0))
        loads[user] += 1
        if not queues[user]:
            del queues[user]
    return order
