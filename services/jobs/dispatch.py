"""Submits claimed jobs to their back ends."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta

from services.backends.base import Accepted, Attempt, DrawnResult, Refused
from services.backends.by_model import Backends
from services.backends.failures import job_failure
from services.clock import now
from services.errors import BadOutput, InvokeUncertain, NotFound, Unavailable
from services.jobs.inputs import Inputs
from services.logs import event
from services.records import Job, JobFailure
from services.settings import Settings
from services.store.jobs import JobStore

# The interval of the checks for a lost notification after an invocation.
CHECK_S = 30.0
# The model stops this long before its back end's timeout, which would also stop everything else it draws.
ANSWER_S = 5.0
ANSWER_SHARE = 0.1
# A busy machine may take this many times the estimate.
LATE = 2.0


@dataclass(frozen=True)
class DrawnAtOnce:
    """A job whose back end answered synchronously, with the result; the job is still open."""

    job: Job
    result: DrawnResult


class Dispatcher:
    """Submits attempts. `scheduling.py` decides which job is next."""

    def __init__(self, store: JobStore, backends: Backends, inputs: Inputs, settings: Settings) -> None:
        self._store = store
        self._backends = backends
        self._inputs = inputs
        self._settings = settings

    @property
    def drawing_s(self) -> float:
        """The longest time the model may take for an attempt, in seconds: the job's timeout less the time for the
        answer.
        """
        timeout_s = self._settings.job_timeout_s
        return timeout_s - min(ANSWER_S, timeout_s * ANSWER_SHARE)

    def invoke(self, job: Job) -> Job | JobFailure | DrawnAtOnce:
        """Submits a claimed job to its model's back end and records that it was accepted.

        Returns a failure if the back end or the input can never be used; after a temporary fault, the job stays claimed
        for the sweeper. One AWS call besides the back end's own, one more for each input picture. A synchronous back
        end draws on the caller's thread.
        """
        backend = self._backends.offered(job.spec.model)
        if backend is None:
            return job_failure("model_withdrawn")
        try:
            pictures = self._inputs.of(job)
        except (NotFound, BadOutput) as exc:
            event("input_lost", level=logging.ERROR, exc=exc, job=job.id, user=job.user_id)
            return job_failure("input_lost")
        at_once = backend.abilities.answers_at_once
        try:
            if at_once:
                # Before drawing, so that the sweeper does not interfere and a closed job is not drawn.
                mine, job = job, self._store.confirm(job, failure_uri=None, due_s=self.drawing_s + CHECK_S)
                if job.status.terminal or job.attempt != mine.attempt:
                    return job
            answer = backend.submit(Attempt(job, pictures, self.drawing_s))
        except InvokeUncertain as exc:
            event("invoke_uncertain", level=logging.WARNING, job=job.id, user=job.user_id, reason=exc.code)
            self._store.postpone(job, due=now() + timedelta(seconds=self._turn_s(job)))
            return job
        except Unavailable as exc:
            event("invoke_postponed", level=logging.WARNING, job=job.id, user=job.user_id, reason=exc.code)
            if at_once:
                self._store.postpone(job, due=now() + timedelta(seconds=CHECK_S))
            return job
        except BadOutput as exc:
            return JobFailure(code=exc.code, message=exc.message)
        if isinstance(answer, Refused):
            return answer.failure
        event("job_invoked", job=job.id, user=job.user_id, attempt=job.attempt)
        if isinstance(answer, DrawnResult):
            return DrawnAtOnce(job, answer)
        return job if at_once else self._confirm(job, answer)

    def _turn_s(self, job: Job) -> float:
        """Returns how long a job that may be in its endpoint's queue can take to begin there. One AWS call.

        Invoking it again earlier would draw it twice. The queue holds what is in the endpoint's window.
        """
        ahead = [
            other for other in self._store.running() if other.endpoint == job.endpoint and other.id != job.id
        ]
        waking = job.estimate.cold_start_p90_s or job.estimate.cold_start_s
        drawing = sum(other.estimate.run_s + other.estimate.beyond_s for other in (job, *ahead))
        return CHECK_S + LATE * (waking + drawing)

    def _confirm(self, job: Job, answer: Accepted) -> Job:
        try:
            return self._store.confirm(job, failure_uri=answer.failure_uri, due_s=CHECK_S)
        except Unavailable as exc:
            # The job runs. The sweeper finds its progress or output and does not invoke it again.
            event("confirm_postponed", level=logging.WARNING, exc=exc, job=job.id, user=job.user_id)
            return job
