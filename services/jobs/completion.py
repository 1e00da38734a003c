"""Ends jobs: stores the pictures and settles the charge, or records the failure and refunds everything.

Every method may run twice, concurrently, and after a crash at any line; the first terminal state wins.
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
from services.errors import BadOutput, InvalidRequest, NotFound
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
        """Closes the job with the attempt's result; returns the current job, or None if it was erased.

        Raises NotFound while there is no result. One AWS call besides the back end's own, two per picture, and one
        transaction; three more for the job that woke its model.
        """
        job = self._store.find(user_id, job_id)
        if job is None:
            self._erase_late_output(user_id, job_id)
            return None
        if job.status.terminal:
            if job.status is JobStatus.SUCCEEDED:
                self._count_repeat(job, attempt)
            else:
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
        """Stores an open job's pictures and settles its charge; returns the current job, or None if it was erased.

        If its attempt was submitted twice, the other one is stopped. Two AWS calls per picture and one transaction;
        three more for the job that woke its model.
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
        # Withheld pictures are not charged, although they were drawn.
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
            # Canceled, expired, or erased while the pictures were being stored: they must not stay.
            self._images.discard(job.user_id, job.id)
        elif not ours:
            # Another process finished it first. Its maker may have deleted a picture that this one stored again.
            self._images.erase_unrecorded(standing)
            self._count_repeat(standing, standing.attempt)
        else:
            event("job_succeeded", job=job.id, user=job.user_id, gpu_s=result.seconds)
            self._wakes.note(job, result)
            if job.repeated:
                self._stop_drawing(job)
        return standing

    def fail(
        self, user_id: str, job_id: str, attempt: int, reason: str, *, failure_uri: str | None = None
    ) -> Job | None:
        """Closes the job as failed, with the failure that its back end left behind or the notification's `reason`.

        Nothing is charged. `failure_uri` is the location of the failure according to the notification. An attempt that
        was handed back before it began is queued again, at most twice. A failure of an earlier attempt than the current
        one changes nothing.
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
        """Closes a job whose current attempt expired in the endpoint's queue; an earlier attempt changes nothing."""
        job = self._store.find(user_id, job_id)
        if job is None or job.status.terminal or attempt != job.attempt:
            return job
        return self.expire(job, if_overdue=False)

    def expire(self, job: Job, *, if_overdue: bool = True) -> Job:
        """Closes an overdue job and stops its back end; returns the current job.

        With `if_overdue`, only if its record still says that it is overdue.
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
        """Closes the job without pictures and refunds it; returns the current job. One transaction."""
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
        """Closes the job as canceled and stops its back end; returns the current job.

        One transaction and the back end's own calls, also for a waiting job, which may be submitted at the same time.
        """
        self._stop_drawing(job)
        return self.end(job, JobStatus.CANCELED)

    def _count_repeat(self, job: Job, attempt: int) -> None:
        """Counts what the other submission of a finished job took: the studio pays for it, and its maker does not."""
        if not job.repeated or job.timings is None:
            return
        try:
            result = self._backends.of(job.spec.model).result(job, attempt)
        except (BadOutput, NotFound):
            return
        if isinstance(result, Stopped):
            self._forget_cancel(job)
        elif result.timings != job.timings:
            self._forget_cancel(job)
            drawing = str(round(result.timings.total_s * 1e6))
            if self._store.note_repeat(job, drawing, self._ledger.repeat(job, gpu_s=result.seconds)):
                event(
                    "job_drawn_twice",
                    level=logging.WARNING,
                    job=job.id,
                    user=job.user_id,
                    gpu_s=result.seconds,
                )

    def _stop_drawing(self, job: Job) -> None:
        backend = self._backends.of(job.spec.model)
        if backend.abilities.cancels_running:
            backend.cancel(job)

    def _forget_cancel(self, job: Job) -> None:
        """Removes an ended job's cancel marker: the attempt that had to see it has ended too."""
        if job.repeated or job.status in (JobStatus.CANCELED, JobStatus.EXPIRED):
            backend = self._backends.of(job.spec.model)
            if backend.abilities.cancels_running:
                backend.forget_cancel(job)

    def _cost_usd(self, job: Job, result: DrawnResult) -> float:
        try:
            return self._estimator.charge(
                job.spec.model, seconds=result.seconds, pictures=len(result.pictures)
            )
        except InvalidRequest:
            # The model was withdrawn while the job ran, so only the job's estimate still has a price.
            return job.estimate.cost_usd

    def _erase_late_output(self, user_id: str, job_id: str) -> None:
        """Erases output that arrived after the job was erased.

        Only a tombstone proves an erasure. If the record was lost instead, the output must stay.
        """
        if not self._store.was_erased(user_id, job_id):
            event("output_without_record", level=logging.ERROR, user=user_id, job=job_id)
            return
        erased = self._backends.erase(user_id, job_id)
        erased += self._images.discard(user_id, job_id)
        event("late_output_erased", user=user_id, job=job_id, objects=erased)
