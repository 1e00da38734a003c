"""A job from estimate to end, and as an open page shows it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from services.records.base import Record
from services.records.requests import Draft, JobSpec


class JobStatus(StrEnum):
    QUEUED = "queued"
    STARTING = "starting"
    PROCESSING = "processing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    EXPIRED = "expired"

    @property
    def terminal(self) -> bool:
        """True for a final state, which is written once and never changes."""
        return self in TERMINAL


TERMINAL = frozenset({JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELED, JobStatus.EXPIRED})


class JobFailure(Record):
    """Why a job did not succeed: a stable code and a sentence for the user."""

    code: str
    message: str


class Estimate(Record):
    """Price and time of a job before it runs. `cold_start_s` is the endpoint's median wake time (0 when warm), and
    `cold_start_p90_s` its 90th percentile (None until there are enough wakes).

    `cost_usd` is the expected charge, for the model's own seconds, `run_s`. `at_most_usd` is the amount reserved and
    the highest possible charge. `wake_usd` is this job's share of the studio's cost of waking; no user is charged
    for it. `beyond_s` is the time in addition to the model's seconds: transfer, storing the pictures.
    """

    cost_usd: float
    at_most_usd: float
    run_s: float
    cold_start_s: float
    cold_start_p90_s: float | None = None
    wake_usd: float = 0.0
    beyond_s: float = 0.0

    @property
    def total_s(self) -> float:
        """Seconds from passing the job to the endpoint until the pictures are stored."""
        return self.cold_start_s + self.run_s + self.beyond_s


class Timings(Record):
    """How a finished job's time was spent, in seconds, as measured by the container."""

    queue_s: float = 0.0
    load_s: float = 0.0
    encode_text_s: float = 0.0
    denoise_s: float = 0.0
    decode_s: float = 0.0
    check_s: float = 0.0
    encode_s: float = 0.0
    total_s: float = 0.0


class Provenance(Record):
    """What drew a job's pictures, as reported by the container: hash of the weights, device, libraries."""

    revision: str
    device: str = ""
    versions: dict[str, str] = {}


class Hint(Record):
    """For a prompt unknown to the model: the nearest subjects it can draw, nearest first.

    `likeness` is from 0 to 1.
    """

    nearest: tuple[str, ...]
    likeness: float


class Withheld(Record):
    """A picture withheld by the output check: the n-th of its job. `score` (0 to 1) is for admins only."""

    n: int
    seed: int
    reason: str
    score: float | None = None


class Line(StrEnum):
    """An open job's place: ready to run, held until its model is awake, or with the endpoint."""

    READY = "ready"
    HELD = "held"
    RUNNING = "running"


class Ticket(Record):
    """A job's view of its endpoint's line on joining it: how many waited, and how many had left so far."""

    waiting: int
    left: int


class Job(Record):
    """One request of one user and its result. `cost_usd` is None until settled (0.0 when refunded).

    `endpoint` is the one it is queued for, `line` its place there (None once ended). With `run_by` it waits for its
    model to be awake, but no longer than that time. `repeated`: its attempt was submitted again, because nobody knew
    whether the back end had it. On drafts, `finals` maps a picture's number to the latest job that draws it in full; on
    such a job, `final_of` is the job of drafts.
    """

    id: str
    user_id: str
    status: JobStatus
    spec: JobSpec
    attempt: int
    created_at: datetime
    started_at: datetime | None = None
    completed_at: datetime | None = None
    deadline_at: datetime | None = None
    invoked_at: datetime | None = None
    estimate: Estimate
    cost_usd: float | None = None
    gpu_s: float | None = None
    timings: Timings | None = None
    failure: JobFailure | None = None
    failure_uri: str | None = None
    image_ids: tuple[str, ...] = ()
    withheld: tuple[Withheld, ...] = ()
    hint: Hint | None = None
    batch_pictures: int | None = None
    provenance: Provenance | None = None
    run_by: datetime | None = None
    draft: Draft | None = None
    final_of: str | None = None
    finals: dict[int, str] = {}
    endpoint: str = ""
    line: Line | None = None
    ticket: Ticket | None = None
    repeated: bool = False

    def waits_for_the_model(self, now: datetime) -> bool:
        """True while it is held until another job wakes the model."""
        return self.status is JobStatus.QUEUED and self.run_by is not None and self.run_by > now

    @property
    def took_s(self) -> float | None:
        """Seconds from passing the job to the endpoint until the pictures were stored, without the wait for other jobs
        in the container; None for a job that has not succeeded."""
        if self.status is not JobStatus.SUCCEEDED or self.invoked_at is None or self.completed_at is None:
            return None
        queue_s = self.timings.queue_s if self.timings else 0.0
        return max(0.0, (self.completed_at - self.invoked_at).total_seconds() - queue_s)


# Up to this number, a waiting job's place in line is exact.
EXACT_PLACES = 100


class LiveJob(Record):
    """A job as an open page shows it: the record, plus the container's report on a running job.

    `step`/`steps` are None until the model runs; `queue_position` is 1 for the next job to go to the endpoint and
    None after that; it is exact up to 100 and rounded beyond. `ahead` is the number of jobs that the endpoint has
    before this one; `eta_s` is the seconds left, including those jobs.
    """

    job: Job
    status: JobStatus
    step: int | None = None
    steps: int | None = None
    preview_url: str | None = None
    queue_position: int | None = None
    ahead: int = 0
    eta_s: float | None = None

    @property
    def is_far_back(self) -> bool:
        """True for a place in line that is rounded."""
        return self.queue_position is not None and self.queue_position > EXACT_PLACES
