"""The frozen types that cross layers: users, job requests, jobs, images, pages of them."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

T = TypeVar("T")


class Record(BaseModel):
    """Base of all records: immutable, unknown fields refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Role(StrEnum):
    MAKER = "maker"
    ADMIN = "admin"


class User(Record):
    """Who is asking. `id` is 32 hex digits."""

    id: str
    email: str
    role: Role = Role.MAKER
    name: str = ""


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


class Fit(StrEnum):
    """How a picture comes into another shape: cut around its middle, with white bars, or pulled into it."""

    CROP = "crop"
    PAD = "pad"
    STRETCH = "stretch"


class Source(Record):
    """A stored picture to draw over: the id of an upload, of a picture, or of a job that was drawn over one.

    `mask` is the id of a stored mask, or of the job whose mask it is; what is white there is drawn anew.
    """

    id: str
    fit: Fit = Fit.CROP
    mask: str | None = None


class When(StrEnum):
    """When a job may run: at once, waking its model if need be, or when the model is awake anyway."""

    NOW = "now"
    WARM = "warm"


class Draft(Record):
    """On a job of drafts: what its finals are to be drawn with, and which drafts belong together (one press).

    The job is the `part`-th (from 0) of the `parts` jobs of its press.
    """

    group: str
    steps: int
    quality: str
    part: int = 0
    parts: int = 1


class JobRequest(Record):
    """What a maker asks for, before the model's card has been consulted. Only the prompt is needed.

    Values are deliberately loose here (`catalogue.resolve` checks them against the card and says what to
    change); `seed` None means random. `image` and `mask` are picture files: the first is drawn over, where the second
    is white or everywhere. `source` stands for both when they are stored already. `when` WARM
    waits for the model to be awake, `within_s` seconds at most (None: the default). `draft` is set on drafts,
    `final_of` (a job of drafts) on what is drawn of them in full.
    """

    prompt: str
    negative_prompt: str = ""
    model: str | None = None
    width: int | None = None
    height: int | None = None
    steps: int | None = None
    guidance: float | None = None
    scheduler: str | None = None
    quality: str | None = None
    seed: int | None = None
    count: int = 1
    image: bytes | None = Field(default=None, repr=False)
    strength: float | None = None
    mask: bytes | None = Field(default=None, repr=False)
    source: Source | None = None
    when: When = When.NOW
    within_s: int | None = None
    draft: Draft | None = None
    final_of: str | None = None

    @property
    def drawn_over(self) -> bool:
        """Whether there is a picture to draw over."""
        return self.image is not None or self.source is not None


class Task(StrEnum):
    TEXT_TO_IMAGE = "text-to-image"
    IMAGE_TO_IMAGE = "image-to-image"
    INPAINTING = "inpainting"


class JobSpec(Record):
    """A request with every value resolved: what is really run. `width`/`height` in pixels, `seed` uint32.

    The pictures that came with it lie in the inputs bucket; here are their hashes, None where there is none.
    """

    prompt: str
    negative_prompt: str
    model: str
    model_revision: str
    width: int
    height: int
    steps: int
    guidance: float
    scheduler: str
    quality: str
    seed: int
    count: int
    strength: float | None = None
    image_sha256: str | None = None
    mask_sha256: str | None = None

    @property
    def task(self) -> Task:
        """What is asked for, by the pictures that came along."""
        if self.image_sha256 is None:
            return Task.TEXT_TO_IMAGE
        return Task.IMAGE_TO_IMAGE if self.mask_sha256 is None else Task.INPAINTING

    def request(self) -> JobRequest:
        """What asks for the same again, every value fixed, but for what was drawn over: that is not in it."""
        both = JobRequest.model_fields.keys() & type(self).model_fields.keys()
        return JobRequest(**{name: getattr(self, name) for name in both})

    @property
    def steps_to_draw(self) -> int:
        """Steps that are really made: drawing over a picture enters the schedule in the middle."""
        return self.steps if self.strength is None else steps_over(self.steps, self.strength)


def steps_over(steps: int, strength: float) -> int:
    """How many of `steps` are made over a picture at that strength, as the container counts them."""
    return max(1, int(steps * strength + 1e-6))


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


class Image(Record):
    """One stored picture. `id` is `<job>-<n>`; `sha256` is of the stored PNG's bytes.

    `rating` is 1 to 5, 0 for none; `tags` are sorted; `albums` are ids; `color` is the one that most of it has
    (`#rrggbb`), None where nobody looked; `trashed_at` is None outside the trash.
    """

    id: str
    user_id: str
    job_id: str
    n: int
    key: str
    thumbnail_key: str | None
    width: int
    height: int
    size_bytes: int
    sha256: str
    seed: int
    model: str
    prompt: str
    favorite: bool = False
    rating: int = 0
    tags: tuple[str, ...] = ()
    albums: tuple[str, ...] = ()
    color: str | None = None
    created_at: datetime
    trashed_at: datetime | None = None


class Album(Record):
    """A name that pictures are gathered under. `cover` is the id of the one that was chosen to stand for it."""

    id: str
    name: str
    cover: str | None = None
    created_at: datetime


class Usage(Record):
    """What a user has used against the limits. Images per UTC day, dollars per UTC month, reserved ones included."""

    images_today: int
    daily_images: int
    spent_month_usd: float
    monthly_usd: float
    open_jobs: int
    max_open_jobs: int


class ErasureReceipt(Record):
    """What was erased, verified by listing again. `texts` are lists, templates and starred prompts; `shares` are
    links that showed a picture to anybody."""

    jobs: int
    images: int
    objects: int
    texts: int = 0
    shares: int = 0
    completed_at: datetime


class EndpointState(StrEnum):
    COLD = "cold"
    STARTING = "starting"
    READY = "ready"
    UNKNOWN = "unknown"


class EndpointInfo(Record):
    """What the endpoint of a model is doing, as of `read_at`."""

    model: str
    state: EndpointState
    instances: int
    read_at: datetime


class Page(BaseModel, Generic[T]):
    """A page of a newest-first list. `next` is the opaque cursor of the following page, None at the end."""

    model_config = ConfigDict(frozen=True)

    items: tuple[T, ...]
    next: str | None = None
