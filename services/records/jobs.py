"""A job, from its estimate to its end, and as an open page shows it."""

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
        """True for a state that is written once and never left."""
        return self in TERMINAL


TERMINAL = frozenset({JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELED, JobStatus.EXPIRED})


class JobFailure(Record):
    """Why a job did not succeed: a stable code and a sentence for people."""

    code: str
    message: str


class Estimate(Record):
    """Price and time of a job before it runs. `cold_start_s` is how long the endpoint takes to wake, 0 when warm:
    half of its last wakes took so long or less, and nine in ten `cold_start_p90_s` (None until there were enough).

    `cost_usd` is what will be charged: the model's own seconds, `run_s`. `at_most_usd` is what is reserved, and the
    most that will be charged. `wake_usd` is this job's share of what waking costs the studio's account; nobody is
    charged for it. `beyond_s` is what comes on top of the model's seconds: the way there, storing the pictures.
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
        """Seconds from being handed to the endpoint until the pictures are stored."""
        return self.cold_start_s + self.run_s + self.beyond_s


class Timings(Record):
    """Where the time of a finished job went, in seconds, as the container measured it."""

    queue_s: float = 0.0
    load_s: float = 0.0
    encode_text_s: float = 0.0
    denoise_s: float = 0.0
    decode_s: float = 0.0
    check_s: float = 0.0
    encode_s: float = 0.0
    total_s: float = 0.0


class Provenance(Record):
    """What drew a job's pictures, as the container said: the hash of its weights, its device, its libraries."""

    revision: str
    device: str = ""
    versions: dict[str, str] = {}


class Hint(Record):
    """Beside pictures of a prompt the model does not know: what it can draw that comes nearest, nearest first.

    `likeness` is from 0 to 1.
    """

    nearest: tuple[str, ...]
    likeness: float


class Withheld(Record):
    """A picture that the output check kept back: the n-th of its job. `score` (0 to 1) is for admins only."""

    n: int
    seed: int
    reason: str
    score: float | None = None


class Line(StrEnum):
    """Where an open job stands: ready to run, held back until its model is awake, or with the endpoint."""

    READY = "ready"
    HELD = "held"
    RUNNING = "running"


class Ticket(Record):
    """What a job saw as it came into its endpoint's line: how many waited, and how many had left the line so far."""

    waiting: int
    left: int


class Job(Record):
    """One request of one user and what became of it. `cost_usd` is None until it is settled (0.0 when refunded).

    `endpoint` is the one whose queue it is in, `line` where it stands there (None once it has ended). With `run_by` it
    waits for its model to be awake, and until then at the latest. On drafts `finals` says by number of
    the picture which job drew it in full last, or does; on that job `final_of` is the job of drafts.
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

    def waits_for_the_model(self, now: datetime) -> bool:
        """True while it is held back until somebody else's job wakes the model."""
        return self.status is JobStatus.QUEUED and self.run_by is not None and self.run_by > now

    @property
    def took_s(self) -> float | None:
        """Seconds from being handed to the endpoint until the pictures were stored, without what it waited for
        others in the container; None for what has not succeeded."""
        if self.status is not JobStatus.SUCCEEDED or self.invoked_at is None or self.completed_at is None:
            return None
        queue_s = self.timings.queue_s if self.timings else 0.0
        return max(0.0, (self.completed_at - self.invoked_at).total_seconds() - queue_s)


# Up to this place in line a waiting job's place is exact.
EXACT_PLACES = 100


class LiveJob(Record):
    """A job as an open page shows it: the record, and what the container reports about the running one.

    `step`/`steps` are None until the model runs; `queue_position` is 1 for the next one to be handed to the endpoint
    and None once it was; up to 100 it is exact, beyond that rounded. `ahead` is
    how many jobs the endpoint has before it; `eta_s` is seconds left, including theirs.
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
