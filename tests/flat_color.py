"""A minimal back end, which draws pictures of one color in this process and returns them at once."""

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
    """Draws for `models`. `before` is called with each attempt and may raise an error."""

    models: frozenset[str]
    state_now: EndpointState = EndpointState.READY
    refuse: list[str] = field(default_factory=list)
    before: Callable[[Attempt], object] | None = None
    drawn: list[Attempt] = field(default_factory=list)

    abilities = Abilities(answers_at_once=True)
    pricing = ByPicture(usd=USD_A_PICTURE)

    def submit(self, attempt: Attempt) -> DrawnResult | Refused:
        """Draws the attempt, unless the code of a refusal is queued."""
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
        """Finds nothing, because no state is kept between calls."""
        return Sighting(Found.NOTHING, job.attempt)

    def result(self, job: Job, attempt: int) -> NoReturn:
        """Raises NotFound: only `submit` returns a result."""
        raise NotFound(f"Attempt {attempt} of {job.id} left nothing behind.")

    def explain(self, job: Job, reason: str, failure_uri: str | None) -> AttemptFailure:
        """Returns the reason; there are no further details."""
        return AttemptFailure(job_failure("model_error", message=reason))

    def has_begun(self, job: Job) -> bool:
        """Returns False: only the drawing process itself could know."""
        return False

    def progress(self, job: Job) -> None:
        """Returns None: drawing is too fast for progress."""

    def read_notification(self, body: str) -> Notification | None:
        """Returns None: this back end sends no notifications."""
        return None

    def cancel(self, job: Job) -> None:
        """Does nothing: an attempt cannot be stopped."""

    def forget_cancel(self, job: Job) -> None:
        """Does nothing: there is no cancel marker."""

    def erase(self, user_id: str, job_id: str) -> int:
        """Returns 0: nothing is stored."""
        return 0

    def endpoint_of(self, model: str) -> str:
        """Returns the same name for every model."""
        return "this-process"

    def state(self, model: str) -> EndpointInfo:
        """Returns `state_now` for a known model, else UNKNOWN."""
        state = self.state_now if model in self.models else EndpointState.UNKNOWN
        return EndpointInfo(
            model=model, state=state, instances=int(state is EndpointState.READY), read_at=datetime.now(UTC)
        )


def flat_png(width: int, height: int, seed: int) -> bytes:
    """Returns a PNG of one color that depends on the seed."""
    target = io.BytesIO()
    Pillow.new("RGB", (width, height), (seed % 256, 120, 60)).save(target, "PNG")
    return target.getvalue()
