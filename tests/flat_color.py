"""A back end that draws pictures of one color in this process and answers at once: the least that the seam asks for."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NoReturn

from PIL import Image as Pillow

from services.backends.base import (
    Abilities,
    Attempt,
    AttemptFailure,
    ByPicture,
    DrawnPicture,
    DrawnResult,
    Found,
    Notification,
    Refused,
    Sighting,
)
from services.backends.failures import job_failure
from services.errors import NotFound
from services.records import EndpointInfo, EndpointState, Job, Provenance, Timings

REVISION = "flat-1"
USD_A_PICTURE = 0.02


@dataclass
class FlatColor:
    """Draws `models`. `before` is called with each attempt: what it raises is what goes wrong."""

    models: frozenset[str]
    state_now: EndpointState = EndpointState.READY
    refuse: list[str] = field(default_factory=list)
    before: Callable[[Attempt], object] | None = None
    drawn: list[Attempt] = field(default_factory=list)

    abilities = Abilities(answers_at_once=True)
    pricing = ByPicture(usd=USD_A_PICTURE)

    def submit(self, attempt: Attempt) -> DrawnResult | Refused:
        """Draws the attempt, unless the test queued the code of a refusal."""
        if self.refuse:
            return Refused(job_failure(self.refuse.pop(0)))
        if self.before is not None:
            self.before(attempt)
        self.drawn.append(attempt)
        spec = attempt.job.spec
        seeds = [(spec.seed + n) % 2**32 for n in range(spec.count)]
        return DrawnResult(
            pictures=tuple(
                DrawnPicture(seed=seed, png=flat_png(spec.width, spec.height, seed)) for seed in seeds
            ),
            seconds=0.5,
            timings=Timings(denoise_s=0.5, total_s=0.5),
            provenance=Provenance(revision=REVISION),
        )

    def poll(self, job: Job) -> Sighting:
        """Nothing is kept between calls, so nothing is ever found."""
        return Sighting(Found.NOTHING, job.attempt)

    def result(self, job: Job, attempt: int) -> NoReturn:
        """There is none but the one that `submit` returned."""
        raise NotFound(f"Attempt {attempt} of {job.id} left nothing behind.")

    def explain(self, job: Job, reason: str, failure_uri: str | None) -> AttemptFailure:
        """Nobody knows more than the reason."""
        return AttemptFailure(job_failure("model_error", message=reason))

    def has_begun(self, job: Job) -> bool:
        """Whoever asks this is not the one who draws."""
        return False

    def progress(self, job: Job) -> None:
        """It is too quick to say anything."""

    def read_notification(self, body: str) -> Notification | None:
        """It sends none."""
        return None

    def cancel(self, job: Job) -> None:
        """It cannot be stopped."""

    def forget_cancel(self, job: Job) -> None:
        """There is nothing to forget."""

    def erase(self, user_id: str, job_id: str) -> int:
        """It keeps nothing."""
        return 0

    def endpoint_of(self, model: str) -> str:
        """All its models are drawn here."""
        return "this-process"

    def state(self, model: str) -> EndpointInfo:
        """What the test says."""
        state = self.state_now if model in self.models else EndpointState.UNKNOWN
        return EndpointInfo(
            model=model, state=state, instances=int(state is EndpointState.READY), read_at=datetime.now(UTC)
        )


def flat_png(width: int, height: int, seed: int) -> bytes:
    """A PNG of one color, which is the seed's."""
    target = io.BytesIO()
    Pillow.new("RGB", (width, height), (seed % 256, 120, 60)).save(target, "PNG")
    return target.getvalue()
