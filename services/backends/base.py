"""What the studio asks of whatever draws pictures, and the records that go in and come out.

A back end is handed an attempt of a job. It either answers at once with a `DrawnResult`, or accepts the attempt and is
followed: by notifications that it sends, and by looks at it. Whose turn it is, what a job costs and where its pictures
are kept is none of its business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from services.records import EndpointInfo, Hint, Job, JobFailure, Provenance, Timings, Withheld


@dataclass(frozen=True)
class Abilities:
    """What a back end supports.

    `answers_at_once`: `submit` returns the result itself. `reports_progress`: `progress` returns progress while it
    draws. `cancels_running`: `cancel` stops a running attempt. `batches`: it may draw several jobs in one pass.
    """

    answers_at_once: bool = False
    reports_progress: bool = False
    cancels_running: bool = False
    batches: bool = False


@dataclass(frozen=True)
class BySeconds:
    """Priced by the model's seconds, at the hourly price of the model's card."""

    def cost_usd(self, *, seconds: float, pictures: int, usd_per_hour: float) -> float:
        """seconds x price / 3600."""
        del pictures
        return seconds * usd_per_hour / 3600


@dataclass(frozen=True)
class ByPicture:
    """Priced per picture, however long it takes."""

    usd: float

    def cost_usd(self, *, seconds: float, pictures: int, usd_per_hour: float) -> float:
        """pictures x price."""
        del seconds, usd_per_hour
        return pictures * self.usd


Pricing = BySeconds | ByPicture


@dataclass(frozen=True)
class Attempt:
    """One attempt of a job, `job.attempt`.

    `pictures` are the PNGs that came with the job, by the names `image` and `mask`. `drawing_s` is how long the model
    may take, in seconds.
    """

    job: Job
    pictures: Mapping[str, bytes]
    drawing_s: float


@dataclass(frozen=True)
class Accepted:
    """The back end will draw the attempt. `failure_uri` is the location of a possible failure, if known in advance."""

    failure_uri: str | None = None


@dataclass(frozen=True)
class Refused:
    """The back end will never draw this job."""

    failure: JobFailure


@dataclass(frozen=True)
class DrawnPicture:
    """One picture of a job: a whole PNG of the job's size, verified, or None with the reason why it was `withheld`.

    `score` is the output check's, 0 to 1.
    """

    seed: int
    png: bytes | None
    withheld: str | None = None
    score: float | None = None


@dataclass(frozen=True)
class DrawnResult:
    """What a finished attempt came to: as many pictures as the job asked for, the n-th with seed (seed + n) mod 2^32.

    `seconds` is the model's time for this job alone; it is charged by them where the back end is priced `BySeconds`.
    `batch_pictures` is how many pictures were drawn in the same pass, None where the back end does not say.
    """

    pictures: tuple[DrawnPicture, ...]
    seconds: float
    timings: Timings
    provenance: Provenance
    hint: Hint | None = None
    batch_pictures: int | None = None

    def withheld(self) -> tuple[Withheld, ...]:
        """Returns the pictures that the output check withheld, in the job's form."""
        return tuple(
            Withheld(n=n, seed=picture.seed, reason=picture.withheld, score=picture.score)
            for n, picture in enumerate(self.pictures)
            if picture.withheld is not None
        )


@dataclass(frozen=True)
class Stopped:
    """The back end stopped the attempt because the job was canceled."""


@dataclass(frozen=True)
class AttemptFailure:
    """Why an attempt failed. `undone`: the model had not begun, so another attempt may succeed."""

    failure: JobFailure
    undone: bool = False


class Found(StrEnum):
    """The result of looking for a job's output."""

    NOTHING = "nothing"
    RESULT = "result"
    FAILURE = "failure"


@dataclass(frozen=True)
class Sighting:
    """What was found for a job, and for which attempt: an earlier attempt may end after the next one has begun."""

    found: Found
    attempt: int


@dataclass(frozen=True)
class Progress:
    """Step `step` of `steps`. `started_at` is when the model began, `updated_at` when this was written.

    `preview_url` links to a small preview, None before the first step.
    """

    step: int
    steps: int
    started_at: datetime
    updated_at: datetime
    preview_url: str | None = None


class Ending(StrEnum):
    """How an attempt ended, according to a notification."""

    COMPLETED = "completed"
    FAILED = "failed"
    EXPIRED = "expired"


@dataclass(frozen=True)
class Notification:
    """A back end's message that an attempt has ended. A failure has a `reason`, and may be stored at `failure_uri`."""

    user_id: str
    job_id: str
    attempt: int
    ending: Ending
    reason: str = ""
    failure_uri: str | None = None


class Backend(Protocol):
    """Something that draws. Every method may be called from several threads, and again after a crash.

    All methods except `read_notification` may raise Unavailable, which means: try again later.
    """

    @property
    def abilities(self) -> Abilities:
        """What it supports."""

    @property
    def pricing(self) -> Pricing:
        """How it is priced."""

    def submit(self, attempt: Attempt) -> Accepted | Refused | DrawnResult:
        """Submits an attempt. The same attempt may be submitted again after a lost answer.

        Raises Unavailable if it was not accepted, or may not have been; BadOutput if the result is unusable.
        """

    def poll(self, job: Job) -> Sighting:
        """Looks for a result of any attempt of the job, then for a failure of the current one."""

    def result(self, job: Job, attempt: int) -> DrawnResult | Stopped:
        """Returns the result of an attempt. Raises NotFound while there is none, BadOutput if it is unusable."""

    def explain(self, job: Job, reason: str, failure_uri: str | None) -> AttemptFailure:
        """Returns why the current attempt failed, from the stored failure and the notification's `reason`."""

    def has_begun(self, job: Job) -> bool:
        """Whether the model is known to have begun the current attempt."""

    def progress(self, job: Job) -> Progress | None:
        """Returns the current attempt's progress; None if nothing is known."""

    def read_notification(self, body: str) -> Notification | None:
        """Parses a message of the results queue; returns None if it is not from this back end."""

    def cancel(self, job: Job) -> None:
        """Stops every attempt of the job as soon as possible; no error if none runs."""

    def forget_cancel(self, job: Job) -> None:
        """Removes the traces of `cancel` after the job's attempt has ended."""

    def erase(self, user_id: str, job_id: str) -> int:
        """Erases what the back end stores for a job, including late output; returns the number of objects."""

    def endpoint_of(self, model: str) -> str:
        """Returns the name of an offered model's endpoint: jobs with the same name share a queue and its window."""

    def state(self, model: str) -> EndpointInfo:
        """Returns the current state of the model's endpoint."""
