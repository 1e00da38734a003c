"""One request on its way through the engine, and its outcome."""

from __future__ import annotations

import time
from collections.abc import Hashable
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass
from typing import Literal

from inference.contract import Payload
from inference.errors import DeadlineExceeded
from inference.logs import log
from inference.pipelines.family import Drawing

StopReason = Literal["abandoned", "deadline_exceeded", "shutting_down"]


@dataclass(frozen=True)
class Outcome:
    """What the model thread made of a request: pictures, or None when the cancel marker was seen.

    `gpu_s` is the request's share, by pictures, of the passes it was drawn in; `batch_pictures` counts all pictures
    of the largest of them.
    """

    drawing: Drawing | None
    step: int
    queue_s: float
    load_s: float
    gpu_s: float
    batch_pictures: int


class Ticket:
    """A request in the engine. `done` is set once: by the model thread, the shutdown, or the deadline."""

    def __init__(self, payload: Payload, received: float | None = None) -> None:
        """`received` is when the request arrived (time.monotonic()); its deadline counts from there."""
        self.payload = payload
        self.queued = time.monotonic()
        self.expires: float | None = None
        if payload.deadline_s is not None:
            self.expires = (self.queued if received is None else received) + payload.deadline_s
        self.done: Future[Outcome] = Future()
        self.stop: StopReason | None = None
        self.step = 0
        # The key shared by requests that can be drawn together; computed once.
        self.batch_key: tuple[Hashable | None] | None = None

    def fail(self, error: Exception) -> None:
        """Answer with `error`, unless the request has been answered."""
        try:
            self.done.set_exception(error)
        except InvalidStateError:
            return

    def succeed(self, outcome: Outcome) -> None:
        """Answer with `outcome`, unless the request has been answered."""
        try:
            self.done.set_result(outcome)
        except InvalidStateError:
            return

    def expire(self) -> None:
        """Answer that the deadline has passed; a running pass drops the request at its next step."""
        self.stop = self.stop or "deadline_exceeded"
        self.fail(
            DeadlineExceeded(
                f"The {self.payload.deadline_s:g} s of `deadline_s` are over: nothing was kept.",
                param="deadline_s",
            )
        )

    def is_overdue(self) -> bool:
        """Return whether the deadline has passed."""
        return self.expires is not None and time.monotonic() >= self.expires

    def log(self, event: str, **fields: object) -> None:
        """Log an event of this request with its parameters; never its texts."""
        payload = self.payload
        log(
            "error" if event == "request_failed" else "info",
            event,
            job=payload.job.prefix if payload.job else None,
            attempt=payload.job.attempt if payload.job else None,
            size=f"{payload.width}x{payload.height}",
            count=payload.num_images_per_prompt,
            step=self.step,
            steps=payload.steps_to_draw,
            scheduler=payload.scheduler,
            **fields,
        )
