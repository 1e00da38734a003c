"""The end of a job: its pictures stored and its charge settled, or its failure recorded and everything refunded.

Every method may run twice, at once, and after a crash at any line; the first terminal state wins.
"""

from __future__ import annotations

import logging

from services.backends.base import DrawnResult, Stopped
from services.backends.by_model import Backends
from services.backends.failures import job_failure
from services.backends.wake_times import WakeTimes
from services.backends.withheld import withheld_words
from services.billing.estimates import Estimator
from services.billing.ledger import Ledger
from services.clock import now
from services.errors import BadOutput, InvalidRequest
from services.images.images import Images
from services.logs import event
from services.records import Job, JobFailure, JobStatus
from services.store import keys
from services.store.job_notes import same_write
from services.store.jobs import JobStore

MAX_ATTEMPTS = 3


class Completion:
    """Closes jobs."""

    def __init__(
        self,
        store: JobStore,
        ledger: Ledger,
        images: Images,
        backends: Backends,
        estimator: Estimator,
        wakes: WakeTimes,
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._images = images
        self._backends = backends
        self._estimator = estimator
        self._wakes = wakes

    def finish(self, user_id: str, job_id: str, attempt: int) -> Job | None:
        """Closes the job by the attempt's result; returns the job that stands, None for an erased one.

        Raises NotFound while there is no result. One AWS call besides the back end's own, two a picture, and one
        transaction; three more for the job that woke its model.
        """
        job = self._store.find(user_id, job_id)
        if job is None:
            self._erase_late_output(user_id, job_id)
            return None
        if job.status.terminal:
            if job.status is not JobStatus.SUCCEEDED:
                self._images.discard(user_id, job_id)
                self._forget_cancel(job)
            return job
        try:
            result = self._backends.of(job.spec.model).result(job, attempt)
            if isinstance(result, Stopped):
                return self.end(job, JobStatus.CANCELED)
            return self.complete(job, result)
        except BadOutput as exc:
            return self.end(job, JobStatus.FAILED, JobFailure(code=exc.code, message=exc.message))

    def complete(self, job: Job, result: DrawnResult) -> Job | None:
        """Stores an open job's pictures and settles its charge; returns the job that stands, None for an erased one.

        Two AWS calls a picture and one transaction; three more for the job that woke its model.
        """
        pictures, withheld = result.pictures, result.withheld()
        drawn = job.model_copy(
            update={
                "started_at": job.invoked_at or job.created_at,
                "gpu_s": result.seconds,
                "timings": result.timings,
                "batch_pictures": result.batch_pictures,
                "hint": result.hint,
                "provenance": result.provenance,
                "withheld": withheld,
            }
        )
        if withheld:
            event("pictures_withheld", job=job.id, user=job.user_id, withheld=len(withheld), of=len(pictures))
        if len(withheld) == len(pictures):
            failure = JobFailure(code="withheld", message=str(withheld_words(withheld, len(pictures))))
            return self.end(drawn, JobStatus.FAILED, failure)
        images = self._images.store(job, result)
        # Whoever gets no picture does not pay for it, though it was drawn.
        cost = self._cost_usd(job, result) * len(images) / len(pictures)
        cost = min(cost, job.estimate.at_most_usd)
        closed = drawn.model_copy(
            update={
                "status": JobStatus.SUCCEEDED,
                "completed_at": now(),
                "cost_usd": cost,
                "image_ids": tuple(image.id for image in images),
            }
        )
        standing, ours = self._store.close(
            closed,
            [
                *self._images.record_writes(images),
                *self._ledger.settlement(closed, cost_usd=cost, gpu_s=result.seconds),
                same_write(job),
            ],
            token=keys.new_id(),
        )
        if standing is None or standing.status is not JobStatus.SUCCEEDED:
            # Canceled, expired or erased while the pictures were being stored: nothing of such a job stays.
            self._images.discard(job.user_id, job.id)
        elif not ours:
            # Somebody finished it before, and its maker may have deleted a picture that was just put again.
            self._images.erase_unrecorded(standing)
        else:
            event("job_succeeded", job=job.id, user=job.user_id, gpu_s=result.seconds)
            self._wakes.note(job, result)
        return standing

    def fail(
        self, user_id: str, job_id: str, attempt: int, reason: str, *, failure_uri: str | None = None
    ) -> Job | None:
        """Closes the job as failed, by what its back end left behind or by the notification's `reason`.

        Nothing is charged. `failure_uri` is where the notification says that the failure lies. An attempt that was
        handed back undone is queued again, twice at most. A failure of an earlier attempt than the job's present one
        changes nothing.
        """
        job = self._store.find(user_id, job_id)
        if job is None:
            self._erase_late_output(user_id, job_id)
            return None
        if job.status.terminal:
            self._forget_cancel(job)
            return job
        if attempt != job.attempt:
            return job
        found = self._backends.of(job.spec.model).explain(job, reason, failure_uri)
        failure = found.failure
        if found.undone and attempt < MAX_ATTEMPTS:
            if self._store.requeue(job):
                event("job_handed_back", job=job_id, user=user_id, attempt=attempt, reason=failure.code)
            return self._store.find(user_id, job_id)
        return self.end(job, JobStatus.FAILED, failure)

    def give_up(self, user_id: str, job_id: str, attempt: int) -> Job | None:
        """Closes the job whose attempt the endpoint let expire in its queue; an earlier attempt changes nothing."""
        job = self._store.find(user_id, job_id)
        if job is None or job.status.terminal or attempt != job.attempt:
            return job
        return self.expire(job, if_overdue=False)

    def expire(self, job: Job, *, if_overdue: bool = True) -> Job:
        """Closes a job that nobody finished in time, and has its back end stop; returns the job that stands.

        With `if_overdue` only when its record still says so.
        """
        standing = self.end(job, JobStatus.EXPIRED, job_failure("expired"), if_overdue=if_overdue)
        if standing.status is JobStatus.EXPIRED:
            self._stop_drawing(job)
        return standing

    def end(
        self,
        job: Job,
        status: JobStatus,
        failure: JobFailure | None = None,
        *,
        if_overdue: bool = False,
    ) -> Job:
        """Closes the job without pictures and refunds it; returns the job that stands. One transaction."""
        closed = job.model_copy(
            update={"status": status, "completed_at": now(), "cost_usd": 0.0, "failure": failure}
        )
        standing, ours = self._store.close(
            closed, self._ledger.refund(closed), token=keys.new_id(), if_overdue=if_overdue
        )
        if ours:
            event(
                "job_ended",
                level=logging.INFO if failure is None else logging.WARNING,
                job=job.id,
                user=job.user_id,
                status=status.value,
                reason=failure.code if failure else None,
            )
        return standing or closed

    def cancel(self, job: Job) -> Job:
        """Closes the job as canceled and has its back end stop; returns the job that stands.

        One transaction, and what the back end needs; also for a waiting job, which may be submitted meanwhile.
        """
        self._stop_drawing(job)
        return self.end(job, JobStatus.CANCELED)

    def _stop_drawing(self, job: Job) -> None:
        backend = self._backends.of(job.spec.model)
        if backend.abilities.cancels_running:
            backend.cancel(job)

    def _forget_cancel(self, job: Job) -> None:
        """Removes the order to stop that an ended job left: the attempt that had to see it has ended, too."""
        if job.status in (JobStatus.CANCELED, JobStatus.EXPIRED):
            backend = self._backends.of(job.spec.model)
            if backend.abilities.cancels_running:
                backend.forget_cancel(job)

    def _cost_usd(self, job: Job, result: DrawnResult) -> float:
        try:
            return self._estimator.charge(
                job.spec.model, seconds=result.seconds, pictures=len(result.pictures)
            )
        except InvalidRequest:
            # The model was withdrawn while the job ran: its card's price is gone, the job's estimate is not.
            return job.estimate.cost_usd

    def _erase_late_output(self, user_id: str, job_id: str) -> None:
        """Erases what came for a job after its erasure.

        Only a tombstone says that it was erased: a record can also be lost, and then nothing may be.
        """
        if not self._store.was_erased(user_id, job_id):
            event("output_without_record", level=logging.ERROR, user=user_id, job=job_id)
            return
        erased = self._backends.erase(user_id, job_id)
        erased += self._images.discard(user_id, job_id)
        event("late_output_erased", user=user_id, job=job_id, objects=erased)
