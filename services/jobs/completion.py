"""The end of a job: its pictures stored and its charge settled, or its failure recorded and everything refunded.

Every method may run twice, at once, and after a crash at any line; the first terminal state wins.
"""

from __future__ import annotations

import logging

from services.aws.objects import Objects
from services.aws.table import Put
from services.backends.container_contract import (
    DEADLINE_EXCEEDED,
    HANDED_BACK,
    MAX_ANSWER_BYTES,
    Canceled,
    Succeeded,
    read_answer,
    read_failure,
    withheld_words,
)
from services.backends.failures import job_failure
from services.backends.wake_times import Wakes
from services.billing.estimates import Estimator
from services.billing.ledger import Ledger
from services.clock import now
from services.errors import BadOutput, InvalidRequest, NotFound
from services.images.images import Images
from services.logs import event
from services.records import Job, JobFailure, JobStatus
from services.store import keys
from services.store.job_notes import same_sk
from services.store.jobs import JobStore

MAX_ATTEMPTS = 3
MAX_FAILURE_BYTES = 64 * 1024


class Completion:
    """Closes jobs."""

    def __init__(
        self,
        store: JobStore,
        ledger: Ledger,
        images: Images,
        outputs: Objects,
        estimator: Estimator,
        wakes: Wakes,
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._images = images
        self._outputs = outputs
        self._estimator = estimator
        self._wakes = wakes

    def finish(self, user_id: str, job_id: str, attempt: int) -> Job | None:
        """Reads the attempt's output and closes the job by it; returns the job that stands, None for an erased one.

        Raises NotFound while there is no output. Two AWS calls, two a picture, and one transaction; three more for
        the job that woke its model.
        """
        job = self._store.find(user_id, job_id)
        if job is None:
            self._erase_late_output(user_id, job_id)
            return None
        if job.status.terminal:
            if job.status is not JobStatus.SUCCEEDED:
                self._images.discard(user_id, job_id)
            return job
        try:
            raw = self._outputs.get(keys.output_key(user_id, job_id, attempt), max_bytes=MAX_ANSWER_BYTES)
            answer, pictures = read_answer(raw, job)
            if isinstance(answer, Canceled):
                return self.end(job, JobStatus.CANCELED)
            return self._succeed(job, answer, pictures)
        except BadOutput as exc:
            return self.end(job, JobStatus.FAILED, JobFailure(code=exc.code, message=exc.message))

    def _succeed(self, job: Job, answer: Succeeded, pictures: list[bytes | None]) -> Job | None:
        withheld = answer.withheld()
        drawn = job.model_copy(
            update={
                "started_at": job.invoked_at or job.created_at,
                "gpu_s": answer.gpu_s,
                "timings": answer.timings,
                "batch_pictures": answer.batch_pictures,
                "hint": answer.hint_record(),
                "provenance": answer.provenance(),
                "withheld": withheld,
            }
        )
        if withheld:
            event("pictures_withheld", job=job.id, user=job.user_id, withheld=len(withheld), of=len(pictures))
        if len(withheld) == len(pictures):
            failure = JobFailure(code="withheld", message=str(withheld_words(withheld, len(pictures))))
            return self.end(drawn, JobStatus.FAILED, failure)
        images = self._images.store(job, answer, pictures)
        # Whoever gets no picture does not pay for it, though it was drawn.
        cost = self._cost_usd(job, answer.gpu_s) * len(images) / len(pictures)
        cost = min(cost, job.estimate.at_most_usd)
        closed = drawn.model_copy(
            update={
                "status": JobStatus.SUCCEEDED,
                "completed_at": now(),
                "cost_usd": cost,
                "image_ids": tuple(image.id for image in images),
            }
        )
        same = Put(
            item={"PK": keys.user_pk(job.user_id), "SK": same_sk(job.spec), "job": job.id}, label="same"
        )
        standing, ours = self._store.close(
            closed,
            [
                *self._images.record_writes(images),
                *self._ledger.settlement(closed, cost_usd=cost, gpu_s=answer.gpu_s),
                same,
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
            event("job_succeeded", job=job.id, user=job.user_id, gpu_s=answer.gpu_s)
            self._wakes.note(job, answer)
        return standing

    def fail(
        self, user_id: str, job_id: str, attempt: int, reason: str, *, failure_uri: str | None = None
    ) -> Job | None:
        """Closes the job by the attempt's failure object, or by SNS's `reason`; nothing is charged.

        `failure_uri` is where the notification says the object lies. An attempt that the container handed back undone
        goes in line again, twice at most; so does one whose time went by before the model came to it. A failure of an
        earlier attempt than the job's present one changes nothing.
        """
        job = self._store.find(user_id, job_id)
        if job is None:
            self._erase_late_output(user_id, job_id)
            return None
        if job.status.terminal or attempt != job.attempt:
            return job
        failure = read_failure(self._failure_object(job, failure_uri or job.failure_uri), reason)
        undone = failure.code in HANDED_BACK or (
            failure.code == DEADLINE_EXCEEDED and not self._was_begun(job)
        )
        if undone and attempt < MAX_ATTEMPTS:
            if self._store.requeue(job):
                event("job_handed_back", job=job_id, user=user_id, attempt=attempt, reason=failure.code)
            return self._store.find(user_id, job_id)
        return self.end(job, JobStatus.FAILED, failure)

    def _was_begun(self, job: Job) -> bool:
        """True when the model had begun to draw the present attempt: another one would take as long."""
        return self._outputs.exists(keys.progress_key(job.user_id, job.id, job.attempt))

    def give_up(self, user_id: str, job_id: str, attempt: int) -> Job | None:
        """Closes the job whose attempt the endpoint let expire in its queue; an earlier attempt changes nothing."""
        job = self._store.find(user_id, job_id)
        if job is None or job.status.terminal or attempt != job.attempt:
            return job
        return self.expire(job, if_overdue=False)

    def failed_already(self, job: Job) -> bool:
        """True when the present attempt's failure object is there. One AWS call, none before it was invoked."""
        key = self._failure_key(job, job.failure_uri)
        return key is not None and self._outputs.exists(key)

    def expire(self, job: Job, *, if_overdue: bool = True) -> Job:
        """Closes a job that nobody finished in time, and has its container stop; returns the job that stands.

        With `if_overdue` only when its record still says so.
        """
        standing = self.end(job, JobStatus.EXPIRED, job_failure("expired"), if_overdue=if_overdue)
        if standing.status is JobStatus.EXPIRED:
            self._leave_marker(job)
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
        """Closes the job as canceled, leaving a marker for the container to stop at; returns the job that stands.

        One transaction and one S3 write; also for a waiting job, which may be handed to the endpoint meanwhile.
        """
        self._leave_marker(job)
        return self.end(job, JobStatus.CANCELED)

    def _leave_marker(self, job: Job) -> None:
        marker = f"{keys.job_prefix(job.user_id, job.id)}/{keys.CANCEL_MARKER}"
        self._outputs.put(marker, b"", content_type="text/plain")

    def _cost_usd(self, job: Job, gpu_s: float) -> float:
        try:
            return self._estimator.price(job.spec.model, gpu_s)
        except InvalidRequest:
            # The model was withdrawn while the job ran: its card's price is gone, the job's estimate is not.
            return job.estimate.cost_usd

    def _failure_key(self, job: Job, uri: str | None) -> str | None:
        """The key of a failure object in our bucket that belongs to this job; None for any other place."""
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

    def _erase_late_output(self, user_id: str, job_id: str) -> None:
        """Erases what came for a job after its erasure.

        Only a tombstone says that it was erased: a record can also be lost, and then nothing may be.
        """
        if self._store.note(user_id, keys.tombstone_sk(job_id)) is None:
            event("output_without_record", level=logging.ERROR, user=user_id, job=job_id)
            return
        erased = self._outputs.erase(keys.job_prefix(user_id, job_id) + "/")
        erased += self._outputs.erase(keys.failures_prefix(user_id, job_id))
        erased += self._images.discard(user_id, job_id)
        event("late_output_erased", user=user_id, job=job_id, objects=erased)
