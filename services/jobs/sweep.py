"""Recovers jobs whose notification or invocation was lost, and expires overdue ones."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from services.backends.base import Found
from services.backends.by_model import Backends
from services.clock import ClockJumps, now
from services.errors import Unavailable
from services.jobs.completion import Completion
from services.jobs.dispatch import CHECK_S, Dispatcher, DrawnAtOnce
from services.jobs.scheduling import Scheduler, Standing
from services.logs import event
from services.records import Job, JobFailure, JobStatus, Line, Record
from services.store.jobs import JobStore

# Due waiting jobs that one sweep handles.
DUE_AT_ONCE = 500


class SweepReport(Record):
    """What one sweep did, and what waits after it. `held` jobs wait for their model to be awake and request no
    instance. `backlog` is the number of ready jobs by endpoint.
    """

    waiting: int = 0
    held: int = 0
    backlog: dict[str, int] = {}
    checked: int = 0
    finished: int = 0
    invoked: int = 0
    expired: int = 0


class Sweeper:
    """Checks open jobs that are due, and advances each of them."""

    def __init__(
        self,
        store: JobStore,
        scheduler: Scheduler,
        dispatcher: Dispatcher,
        completion: Completion,
        backends: Backends,
    ) -> None:
        self._store = store
        self._scheduler = scheduler
        self._dispatcher = dispatcher
        self._completion = completion
        self._backends = backends
        self._clock = ClockJumps()

    def sweep(self) -> SweepReport:
        """Makes one pass over everything that is due. An AWS outage ends the pass; a single failing job does not."""
        if jump := self._clock.look():
            event("clock_jumped", level=logging.WARNING, seconds=round(jump.total_seconds()))
        due = self._store.running(due_by=now())
        outcomes = [self._check_safely(job) for job in due]
        outcomes += [self._look_at_waiting(job) for job in self._store.waiting_due(now(), limit=DUE_AT_ONCE)]
        invoked = self.dispatch()
        backlog = self._scheduler.backlog()
        return SweepReport(
            waiting=sum(counts.waiting for counts in backlog.values()),
            held=sum(counts.held for counts in backlog.values()),
            backlog={endpoint: counts.waiting for endpoint, counts in backlog.items()},
            checked=len(due),
            finished=outcomes.count("finished"),
            invoked=invoked + outcomes.count("invoked"),
            expired=outcomes.count("expired"),
        )

    def _look_at_waiting(self, job: Job) -> str:
        """Handles a waiting job that is due: expires it, releases it, or adds it to a line."""
        if self._overdue(job):
            self._completion.expire(job)
            return "expired"
        if job.line is None and (endpoint := self._scheduler.endpoint_of(job.spec.model)):
            self._store.adopt(job, endpoint)
            return "adopted"
        if job.line is Line.HELD:
            self._store.make_ready(job)
            return "released"
        self._store.postpone(job, due=job.deadline_at or now() + timedelta(seconds=CHECK_S))
        return "postponed"

    def standing(self, model: str, *, held: bool) -> Standing:
        """Returns the place of a new job of that model. One AWS call, none for a held job."""
        return self._scheduler.standing(model, held=held)

    def deadline(self, start: datetime) -> datetime:
        """Returns when a job that starts at `start` must have ended."""
        return self._scheduler.deadline(start)

    def dispatch(self, *, closed: str | None = None) -> int:
        """Invokes as many waiting jobs as there is room for; returns their number. One AWS call if none waits."""
        invoked = 0
        while claimed := self._scheduler.next_jobs(closed=closed):
            invoked += len(claimed)
            standing = [self.invoke(job).status for job in claimed]
            # Jobs that were drawn synchronously have left the endpoint's window, so there is room for the next.
            if JobStatus.SUCCEEDED not in standing:
                break
        return invoked

    def invoke(self, job: Job) -> Job:
        """Submits a claimed job; returns the current job.

        A job that can never run is closed as failed and refunded; one that is drawn synchronously is completed.
        """
        try:
            result = self._dispatcher.invoke(job)
        except Unavailable as exc:
            # The input could not be written, so the endpoint has nothing; the sweeper tries again.
            event("input_postponed", level=logging.WARNING, exc=exc, job=job.id, user=job.user_id)
            return job
        if isinstance(result, JobFailure):
            return self._completion.end(job, JobStatus.FAILED, result)
        if isinstance(result, DrawnAtOnce):
            return self._completion.complete(result.job, result.result) or result.job
        return result

    def _check_safely(self, job: Job) -> str:
        """Checks one job; if that fails, the job is checked again later and expires at its deadline."""
        try:
            return self._check(job)
        except Unavailable:
            raise
        except Exception as exc:  # noqa: BLE001 - one job must not stop the sweep for everybody
            event("job_check_failed", level=logging.ERROR, exc=exc, job=job.id, user=job.user_id)
            if self._overdue(job):
                self._completion.expire(job)
                return "expired"
            self._store.postpone(job, due=now() + timedelta(seconds=CHECK_S))
            return "failed"

    def _overdue(self, job: Job) -> bool:
        """Whether the job has used up its time. If a clock jump took some of it, extends the deadline and returns
        False.
        """
        if job.deadline_at is None or job.deadline_at >= now():
            return False
        lost = self._clock.lost(job.deadline_at)
        if not lost:
            return True
        self._store.extend(job, deadline_at=job.deadline_at + lost)
        event("deadline_extended", job=job.id, user=job.user_id, seconds=round(lost.total_seconds()))
        return False

    def _check(self, job: Job) -> str:
        backend = self._backends.of(job.spec.model)
        seen = backend.poll(job)
        if seen.found is Found.RESULT:
            self._completion.finish(job.user_id, job.id, seen.attempt)
            event("output_found_by_sweep", job=job.id, user=job.user_id, attempt=seen.attempt)
            return "finished"
        if seen.found is Found.FAILURE:
            self._completion.fail(job.user_id, job.id, job.attempt, "failure object found")
            return "finished"
        if self._overdue(job):
            self._completion.expire(job)
            return "expired"
        # A synchronous attempt without a result ended together with the process that submitted it.
        lost = job.invoked_at is None or backend.abilities.answers_at_once
        if lost and not backend.has_begun(job):
            event("invoking_again", level=logging.WARNING, job=job.id, user=job.user_id)
            self._store.postpone(job, due=now() + timedelta(seconds=CHECK_S), repeated=True)
            self.invoke(job)
            return "invoked"
        self._store.postpone(job, due=now() + timedelta(seconds=CHECK_S))
        return "postponed"
