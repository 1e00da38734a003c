"""A studio in memory with the services' interface and rules; `test_services.py` holds it to the real one's answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

from services.build import Studio
from services.catalogue.cards import Catalogue
from services.errors import (
    Conflict,
    IdempotencyMismatch,
    InvalidRequest,
    Moderated,
    NotFound,
    NotSignedIn,
)
from services.jobs import inputs
from services.jobs.admission import DEFAULT_WITHIN_S, check_wait
from services.records import (
    EndpointInfo,
    EndpointState,
    Estimate,
    Image,
    Job,
    JobFailure,
    JobRequest,
    JobStatus,
    LiveJob,
    Page,
    Role,
    Timings,
    Usage,
    User,
    When,
)
from services.store.keys import is_job_id, new_id, split_image_id

PUBLIC_URL = "http://localhost:8501"
STORE = "http://store.test"
BAD_WORD = "forbiddenword"


def paged(items: list[Any], limit: int, after: str | None, ident: str = "id") -> Page[Any]:
    """A page of a newest-first list; the cursor is the last entry's id, and only one a list gave is taken."""
    start = 0
    if after is not None:
        places = [n for n, item in enumerate(items) if f"cursor-{getattr(item, ident)}" == after]
        if not places:
            raise InvalidRequest("That cursor came from no list.", param="after")
        start = places[0] + 1
    page = items[start : start + limit]
    more = start + limit < len(items)
    return Page(items=tuple(page), next=f"cursor-{getattr(page[-1], ident)}" if more else None)


@dataclass
class FakeStudio:
    """State, and the switches a test turns: `failing` maps an operation to the error its next calls raise."""

    catalogue: Catalogue = field(default_factory=lambda: Catalogue.load(frozenset({"pocket"})))
    settings: SimpleNamespace = field(
        default_factory=lambda: SimpleNamespace(public_url=PUBLIC_URL, auth_mode="local")
    )
    all_jobs: dict[str, Job] = field(default_factory=dict)
    all_images: dict[str, Image] = field(default_factory=dict)
    ended_sessions: set[tuple[str, int | None]] = field(default_factory=set)
    users: dict[str, User] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    writes: list[str] = field(default_factory=list)
    reads: list[str] = field(default_factory=list)
    failing: dict[str, Exception] = field(default_factory=dict)
    progress: dict[str, LiveJob] = field(default_factory=dict)
    idempotency: dict[tuple[str, str], tuple[JobRequest, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.jobs = FakeJobs(self)
        self.images = FakeImages(self)
        self.live = FakeLive(self)
        self.accounts = FakeAccounts(self)
        self.ledger = FakeLedger(self)
        self.endpoints = FakeEndpoints()

    def as_studio(self) -> Studio:
        """The same object under the type the API takes."""
        return cast(Studio, self)

    def read(self, name: str) -> None:
        self.reads.append(name)
        self._fail(name)

    def write(self, name: str) -> None:
        self._fail(name)
        self.writes.append(name)

    def _fail(self, name: str) -> None:
        if error := self.failing.get(name):
            raise error

    def add_user(self, letter: str, *, role: Role = Role.MAKER) -> tuple[User, str]:
        """A user whose id is `letter` 32 times, and their API key."""
        user = User(id=letter * 32, email=f"{letter}@example.com", role=role, name=letter.upper())
        key = f"atl_{letter * 40}"
        self.users[user.id] = user
        self.keys[key] = user.id
        return user, key

    def finish(self, job_id: str, status: JobStatus = JobStatus.SUCCEEDED) -> None:
        """Ends a job as the worker would."""
        job = self.all_jobs[job_id]
        ok = status is JobStatus.SUCCEEDED
        now = datetime.now(UTC)
        images = [self._picture(job, n) for n in range(job.spec.count)] if ok else []
        self.all_images.update({image.id: image for image in images})
        self.all_jobs[job_id] = job.model_copy(
            update={
                "status": status,
                "started_at": now,
                "completed_at": now,
                "cost_usd": 0.0001 if ok else 0.0,
                "gpu_s": 1.0 if ok else None,
                "timings": Timings(total_s=1.5) if ok else None,
                "image_ids": tuple(image.id for image in images),
                "failure": None if ok else JobFailure(code="model_error", message="The model crashed."),
            }
        )

    def _picture(self, job: Job, n: int) -> Image:
        key = f"images/{job.user_id}/{job.id}/{n}"
        return Image(
            id=f"{job.id}-{n}",
            user_id=job.user_id,
            job_id=job.id,
            n=n,
            key=f"{key}.png",
            thumbnail_key=f"{key}.thumb.webp",
            width=job.spec.width,
            height=job.spec.height,
            size_bytes=100,
            sha256="0" * 64,
            seed=job.spec.seed + n,
            model=job.spec.model,
            prompt=job.spec.prompt,
            created_at=job.created_at,
        )


@dataclass
class FakeJobs:
    studio: FakeStudio

    def submit(self, user: User, request: JobRequest, *, idempotency_key: str | None = None) -> Job:
        studio = self.studio
        if idempotency_key is not None:
            if not (
                1 <= len(idempotency_key) <= 255
                and idempotency_key.isascii()
                and idempotency_key.isprintable()
            ):
                raise InvalidRequest("A bad key.", param="Idempotency-Key")
            if found := studio.idempotency.get((user.id, idempotency_key)):
                earlier, job_id = found
                if earlier != request:
                    raise IdempotencyMismatch("This Idempotency-Key was used for another request.")
                return studio.all_jobs[job_id]
        spec = studio.catalogue.resolve(request)
        check_wait(request)
        pictures = inputs.prepared(request, (spec.width, spec.height))
        inputs.check_mask(pictures)
        spec = inputs.with_hashes(spec, pictures)
        if (start := spec.prompt.find(BAD_WORD)) >= 0:
            span = (start, start + len(BAD_WORD))
            raise Moderated("Not here.", param="prompt", rule="r1", category="c1", span=span)
        studio.write("jobs.submit")
        now = datetime.now(UTC)
        job = Job(
            id=new_id(),
            user_id=user.id,
            status=JobStatus.QUEUED,
            spec=spec,
            attempt=0,
            created_at=now,
            deadline_at=now + timedelta(hours=1),
            estimate=Estimate(
                cost_usd=0.0001, at_most_usd=0.0002, run_s=1.0, cold_start_s=8.0, wake_usd=0.0003
            ),
            run_by=now + timedelta(seconds=request.within_s or DEFAULT_WITHIN_S)
            if request.when is When.WARM
            else None,
        )
        studio.all_jobs[job.id] = job
        if idempotency_key is not None:
            studio.idempotency[user.id, idempotency_key] = (request, job.id)
        return job

    def get(self, user: User, job_id: str) -> Job:
        self.studio.read("jobs.get")
        job = self.studio.all_jobs.get(job_id) if is_job_id(job_id) else None
        if job is None or job.user_id != user.id:
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
        self.studio.read("jobs.list")
        mine = [job for job in self.studio.all_jobs.values() if job.user_id == user.id]
        wanted = [job for job in mine if statuses is None or job.status in statuses]
        return paged(sorted(wanted, key=lambda job: job.id, reverse=True), limit, after)

    def run_now(self, user: User, job_id: str) -> Job:
        job = self.get(user, job_id)
        if job.status.terminal:
            raise Conflict(f"The job has already ended: it {job.status.value}.")
        if job.run_by is not None:
            self.studio.write("jobs.run_now")
            job = self.studio.all_jobs[job_id] = job.model_copy(update={"run_by": None})
        return job

    def cancel(self, user: User, job_id: str) -> Job:
        job = self.get(user, job_id)
        if not job.status.terminal:
            self.studio.write("jobs.cancel")
            job = job.model_copy(
                update={
                    "status": JobStatus.CANCELED,
                    "completed_at": datetime.now(UTC),
                    "cost_usd": 0.0,
                }
            )
            self.studio.all_jobs[job_id] = job
        if job.status is not JobStatus.CANCELED:
            raise Conflict(f"The job has already ended: it {job.status.value}.")
        return job


@dataclass
class FakeLive:
    studio: FakeStudio

    def watch(self, user: User, job_id: str) -> LiveJob:
        self.studio.read("live.watch")
        job = self.studio.all_jobs.get(job_id)
        if job is None or job.user_id != user.id:
            raise NotFound("There is no such job.")
        return self.studio.progress.get(job_id) or LiveJob(job=job, status=job.status, queue_position=1)


@dataclass
class FakeImages:
    studio: FakeStudio

    def get(self, user: User, image_id: str) -> Image:
        self.studio.read("images.get")
        image = self.studio.all_images.get(image_id) if split_image_id(image_id) else None
        if image is None or image.user_id != user.id:
            raise NotFound("There is no such picture.")
        return image

    def of_jobs(self, user: User, jobs: Sequence[Job]) -> dict[str, tuple[Image, ...]]:
        self.studio.read("images.of_jobs")
        mine = [image for image in self.studio.all_images.values() if image.user_id == user.id]
        return {job.id: tuple(image for image in mine if image.job_id == job.id) for job in jobs}

    def list(
        self,
        user: User,
        *,
        limit: int = 60,
        after: str | None = None,
        favorites: bool = False,
        job_id: str | None = None,
    ) -> Page[Image]:
        self.studio.read("images.list")
        found = [
            image
            for image in self.studio.all_images.values()
            if image.user_id == user.id
            and (image.favorite or not favorites)
            and job_id in (None, image.job_id)
        ]
        return paged(sorted(found, key=lambda image: image.id, reverse=job_id is None), limit, after)

    def url(self, image: Image, *, download: bool = False) -> str:
        return f"{STORE}/{image.key}" + ("?download" if download else "")

    def thumbnail_url(self, image: Image) -> str:
        return f"{STORE}/{image.thumbnail_key or image.key}"

    def delete(self, user: User, image_id: str) -> None:
        self.get(user, image_id)
        self.studio.write("images.delete")
        del self.studio.all_images[image_id]


@dataclass
class FakeAccounts:
    studio: FakeStudio

    def by_api_key(self, secret: str) -> User:
        self.studio.read("accounts.by_api_key")
        user_id = self.studio.keys.get(secret)
        if user_id is None:
            raise NotSignedIn("There is no such API key; it may have been revoked.", code="invalid_api_key")
        return self.studio.users[user_id]

    def user(self, user_id: str, *, began_at: int | None = None) -> User:
        self.studio.read("accounts.user")
        if user_id not in self.studio.users:
            raise NotFound("There is no such user.")
        if (user_id, began_at) in self.studio.ended_sessions:
            raise NotSignedIn("This session was signed out. Sign in again.")
        return self.studio.users[user_id]


@dataclass
class FakeLedger:
    studio: FakeStudio

    def usage(self, user: User) -> Usage:
        self.studio.read("ledger.usage")
        mine = [job for job in self.studio.all_jobs.values() if job.user_id == user.id]
        return Usage(
            images_today=sum(job.spec.count for job in mine),
            daily_images=500,
            spent_month_usd=0.0,
            monthly_usd=20.0,
            open_jobs=sum(not job.status.terminal for job in mine),
            max_open_jobs=50,
        )


class FakeEndpoints:
    def state(self, model_id: str) -> EndpointInfo:
        return EndpointInfo(model=model_id, state=EndpointState.COLD, instances=0, read_at=datetime.now(UTC))
