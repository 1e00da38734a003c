"""A maker's jobs: submits, shows, lists, and cancels them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence

from services.billing.ledger import Ledger
from services.clock import now
from services.errors import (
    Conflict,
    IdempotencyInFlight,
    IdempotencyMismatch,
    InvalidRequest,
    LimitReached,
    NotFound,
)
from services.images.images import Images
from services.jobs.admission import Admission
from services.jobs.completion import Completion
from services.jobs.sweep import Sweeper
from services.logs import event
from services.privacy.erasure import Erasure
from services.records import (
    ErasureReceipt,
    Estimate,
    Job,
    JobRequest,
    JobSpec,
    JobStatus,
    Line,
    Page,
    User,
)
from services.sentences import sentence
from services.store import keys
from services.store.job_notes import idempotency_write, part_write
from services.store.jobs import JobStore
from services.store.writes import TransactionRefused, Write

MAX_KEY_CHARACTERS = 255
ENDED = {
    JobStatus.SUCCEEDED: sentence("The job has already ended: it succeeded."),
    JobStatus.FAILED: sentence("The job has already ended: it failed."),
    JobStatus.CANCELED: sentence("The job has already ended: it was canceled."),
    JobStatus.EXPIRED: sentence("The job has already ended: it expired."),
}
LATER_FIELDS = ("when", "within_s", "draft", "final_of")


class Jobs:
    """The jobs of all users. Each method checks the owner."""

    def __init__(
        self,
        store: JobStore,
        admission: Admission,
        ledger: Ledger,
        sweeper: Sweeper,
        completion: Completion,
        erasure: Erasure,
        images: Images,
    ) -> None:
        self._store = store
        self._admission = admission
        self._ledger = ledger
        self._sweeper = sweeper
        self._completion = completion
        self._erasure = erasure
        self._images = images

    def estimate(self, request: JobRequest, *, together: int = 1) -> Estimate:
        """Returns the price and time of the request as one of `together`, even without a prompt. Raises
        InvalidRequest.
        """
        return self._admission.price(request, together=together)

    def submit(
        self,
        user: User,
        request: JobRequest,
        *,
        idempotency_key: str | None = None,
        extra_writes: Callable[[Job], Write] | None = None,
    ) -> Job:
        """Creates the job, reserves its price, and invokes the endpoint when there is room; once for a key.

        `extra_writes` makes a write of the transaction that creates the job.

        The same key with the same request within 24 hours returns the job that is. Four AWS calls, and one for each
        picture that comes along: those are stored first, so that there is no job without them. Raises InvalidRequest,
        Moderated, LimitReached, IdempotencyMismatch, NotFound for a source that is gone, Conflict for drafts that were
        finished or erased meanwhile; nothing is left written then.
        After Unavailable the job may be there: asking again with the same key finds it. A request
        for WARM is only recorded while the model is asleep.
        """
        _check_key(idempotency_key)
        pictures, spec = self._admission.inputs.pictures(user, request, self._admission.resolve(request))
        created = now()
        run_by = self._admission.held_until(request, spec.model, created)
        endpoint, line, ticket = self._sweeper.standing(spec.model, held=run_by is not None)
        runs = line is Line.RUNNING
        job = Job(
            id=keys.new_id(),
            user_id=user.id,
            status=JobStatus.STARTING if runs else JobStatus.QUEUED,
            spec=spec,
            attempt=1 if runs else 0,
            created_at=created,
            deadline_at=self._sweeper.deadline(run_by or created),
            estimate=self._admission.estimate_awake(spec) if run_by else self._admission.estimate(spec),
            run_by=run_by,
            draft=request.draft,
            final_of=request.final_of,
            endpoint=endpoint,
            line=line,
            ticket=ticket,
        )
        self._ledger.check(job)
        writes: list[Write] = []
        if idempotency_key is not None:
            writes.append(idempotency_write(job, idempotency_key, _fingerprint(request)))
        if job.draft is not None:
            writes.append(part_write(job, job.draft))
        if extra_writes is not None:
            writes.append(extra_writes(job))
        self._admission.inputs.put(user.id, job.id, pictures)
        try:
            self._ledger.reserve(job, lambda reserved: self._store.create(job, [*reserved, *writes]))
        except LimitReached:
            self._admission.inputs.discard(user.id, job.id, pictures)
            # With the budget spent, no transaction is attempted, so a repeated request has not met its own key.
            if idempotency_key is not None and (earlier := self._replay(user, request, idempotency_key)):
                return earlier
            raise
        except TransactionRefused as exc:
            self._admission.inputs.discard(user.id, job.id, pictures)
            if "idempotency" in exc.failed and idempotency_key is not None:
                if earlier := self._replay(user, request, idempotency_key):
                    return earlier
                raise IdempotencyInFlight("The same request is being worked on. Ask again.") from exc
            if "final" in exc.failed:
                raise Conflict(
                    "Some of these drafts were just finished elsewhere, or erased. Look at them again."
                ) from exc
            raise self._ledger.refusal(exc.failed, created) from exc
        event("job_submitted", job=job.id, user=user.id, model=spec.model, count=spec.count, waiting=not runs)
        return self._sweeper.invoke(job) if runs else job

    def _replay(self, user: User, request: JobRequest, key: str) -> Job | None:
        note = self._store.notes.idempotency(user.id, key)
        if note is None or note.expires_at < now():
            return None
        if note.request != _fingerprint(request):
            raise IdempotencyMismatch(
                "This Idempotency-Key was used for another request. Use a new key for a new request."
            )
        job = self._store.find(user.id, note.job_id)
        if job is None:
            raise Conflict("The job that was made with this Idempotency-Key has been erased. Use a new key.")
        return job

    def get(self, user: User, job_id: str) -> Job:
        """Returns the user's job. Raises NotFound, also for another user's or a malformed id. One AWS call."""
        job = self._store.find(user.id, job_id) if keys.is_job_id(job_id) else None
        if job is None:
            raise NotFound("There is no such job.")
        return job

    def list(
        self,
        user: User,
        *,
        limit: int = 20,
        after: str | None = None,
        statuses: frozenset[JobStatus] | None = None,
    ) -> Page[Job]:
        """Returns the user's jobs, newest first. Raises InvalidRequest for a cursor that no list returned."""
        return self._store.page(user.id, limit=limit, after=after, statuses=statuses)

    def open(self, user: User) -> tuple[Job, ...]:
        """Returns the user's open jobs, newest first. Two AWS calls, one more for each hundred waiting jobs."""
        found = self._store.open_of(user.id)
        return tuple(found[job_id] for job_id in sorted(found, reverse=True))

    def find_same(self, user: User, request: JobRequest) -> Job | None:
        """Returns the user's earlier job with the same model revision, parameters, and seed whose pictures still exist.

        Returns None for a request without a seed, which always draws something new. Raises InvalidRequest.
        """
        return self.find_same_many(user, [request])[0]

    def find_same_many(self, user: User, requests: Sequence[JobRequest]) -> tuple[Job | None, ...]:
        """Calls `find_same` for each request. Three AWS calls for up to a hundred requests; none if no request has a
        seed.
        """
        specs = [None if request.seed is None else self._whole(user, request) for request in requests]
        ids = self._store.notes.same(user.id, specs)
        jobs = self._store.find_many([(user.id, job_id) for job_id in ids if job_id is not None])
        whole = self._images.with_all_images(list(jobs.values()))
        return tuple(
            jobs[user.id, job_id] if job_id is not None and job_id in whole else None for job_id in ids
        )

    def _whole(self, user: User, request: JobRequest) -> JobSpec:
        """Returns the resolved request with its pictures. Raises InvalidRequest, NotFound."""
        return self._admission.inputs.pictures(user, request, self._admission.resolve(request))[1]

    def find_many(self, user: User, job_ids: Sequence[str]) -> dict[str, Job]:
        """Returns the user's existing jobs among these ids; one AWS call for each hundred."""
        wanted = [(user.id, job_id) for job_id in dict.fromkeys(job_ids) if keys.is_job_id(job_id)]
        return {job.id: job for job in self._store.find_many(wanted).values()} if wanted else {}

    def run_now(self, user: User, job_id: str) -> Job:
        """Runs a job that waits for its model to be awake like any other job, and wakes the model if necessary.

        Calling it twice, or for a running job, is no error. Raises NotFound, and Conflict for an ended job.
        """
        job = self.get(user, job_id)
        if job.status.terminal:
            raise Conflict(ENDED[job.status])
        if job.run_by is not None and job.status is JobStatus.QUEUED:
            waking = self._admission.estimate(job.spec)
            # The reservation stays as it is: the ledger refunds exactly that amount.
            estimate = job.estimate.model_copy(
                update=waking.model_dump(include={"cold_start_s", "cold_start_p90_s", "wake_usd"})
            )
            self._store.release(job, deadline_at=self._sweeper.deadline(now()), estimate=estimate)
            self._sweeper.dispatch()
            job = self.get(user, job_id)
        return job

    def cancel(self, user: User, job_id: str) -> Job:
        """Ends and refunds an open job now; the container stops at its next step. Canceling twice is no error.

        Raises NotFound, and Conflict if the job ended in another way.
        """
        job = self.get(user, job_id)
        if not job.status.terminal:
            job = self._completion.cancel(job)
            self._sweeper.dispatch(closed=job.id)
        if job.status is not JobStatus.CANCELED:
            raise Conflict(ENDED[job.status])
        return job

    def delete(self, user: User, job_id: str) -> ErasureReceipt:
        """Erases an ended job with its pictures and all related data. Raises NotFound, Conflict."""
        job = self.get(user, job_id)
        if not job.status.terminal:
            raise Conflict("The job is still open. Cancel it first.")
        return self._erasure.erase_job(job)

    def delete_all(self, user: User) -> ErasureReceipt:
        """Cancels open jobs and erases all jobs and pictures of the user. Calling it again resumes."""
        for job in self._store.every(user.id):
            if not job.status.terminal:
                self._completion.cancel(job)
        return self._erasure.erase_all(user.id)


def _check_key(key: str | None) -> None:
    if key is not None and not (1 <= len(key) <= MAX_KEY_CHARACTERS and key.isascii() and key.isprintable()):
        raise InvalidRequest(
            sentence(
                "The Idempotency-Key must be 1 to {most} printable ASCII characters.", most=MAX_KEY_CHARACTERS
            ),
            param="Idempotency-Key",
        )


def _fingerprint(request: JobRequest) -> str:
    fields = request.model_dump(mode="json", exclude={"image", "strength", "mask", *LATER_FIELDS})
    # Fields added later count only if they are set, so that older keys stay valid.
    fields |= request.model_dump(mode="json", include=set(LATER_FIELDS), exclude_defaults=True)
    if request.source is not None:
        fields["strength"] = request.strength
    if request.image is not None:
        fields["image"] = hashlib.sha256(request.image).hexdigest()
        fields["mask"] = None if request.mask is None else hashlib.sha256(request.mask).hexdigest()
        fields["strength"] = request.strength
    return keys.digest(json.dumps(fields, sort_keys=True))
