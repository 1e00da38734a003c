"""What every model family provides to the engine: its limits, loading, and drawing."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from inference.contract import (
    MAX_GUIDANCE,
    ModelReference,
    Payload,
    SchedulerName,
    Task,
)
from inference.errors import InvalidRequest

Pixels = npt.NDArray[np.uint8]
"""One picture: uint8 (height, width, 3), sRGB."""


# The consistency scheduler's own schedule, from which it picks its steps (Luo et al. 2023).
MAX_LCM_STEPS = 50


@dataclass(frozen=True)
class ModelLimits:
    """What one model can draw, in addition to the contract's limits; sides and areas in pixels.

    `native_px` is the side of the model's training pictures. `max_prompt_tokens` is what its text encoder reads of a
    prompt. `loras` are the names that requests can use.
    """

    min_side_px: int
    max_side_px: int
    max_area_px: int
    native_px: int
    schedulers: tuple[SchedulerName, ...]
    grid_px: int
    max_guidance: float
    takes_negative_prompt: bool
    max_prompt_tokens: int
    tasks: frozenset[Task]
    loras: frozenset[str]

    def check(self, payload: Payload) -> None:
        """Raise `InvalidRequest` naming the first field that is beyond this model's limits."""
        self._check_size(payload)
        if payload.scheduler not in self.schedulers:
            raise InvalidRequest(
                f"`scheduler` must be one of {', '.join(self.schedulers)} for this model, "
                f"not {payload.scheduler}.",
                param="scheduler",
            )
        if payload.scheduler == "lcm" and payload.num_inference_steps > MAX_LCM_STEPS:
            raise InvalidRequest(
                f"`num_inference_steps` must be at most {MAX_LCM_STEPS} with the scheduler lcm, "
                f"not {payload.num_inference_steps}.",
                param="num_inference_steps",
            )
        if payload.guidance_scale > self.max_guidance:
            more = "; it draws without guidance" if self.max_guidance < MAX_GUIDANCE else ""
            raise InvalidRequest(
                f"`guidance_scale` must be at most {self.max_guidance:g} for this model, "
                f"not {payload.guidance_scale:g}{more}.",
                param="guidance_scale",
            )
        if payload.negative_prompt.strip() and not self.takes_negative_prompt:
            raise InvalidRequest(
                "`negative_prompt` must be empty for this model: it cannot be led away from a text.",
                param="negative_prompt",
            )
        self._check_pictures(payload)

    def _check_size(self, payload: Payload) -> None:
        for name, side in (("width", payload.width), ("height", payload.height)):
            if not self.min_side_px <= side <= self.max_side_px:
                raise InvalidRequest(
                    f"`{name}` must be from {self.min_side_px} to {self.max_side_px} pixels for this model, "
                    f"not {side}.",
                    param=name,
                )
            if side % self.grid_px:
                raise InvalidRequest(
                    f"`{name}` must be a multiple of {self.grid_px} for this model, not {side}.", param=name
                )
        area_px = payload.width * payload.height
        if area_px > self.max_area_px:
            raise InvalidRequest(
                f"`width` x `height` must be at most {self.max_area_px} pixels for this model, not {area_px}: "
                "make one of them smaller.",
                param="width" if payload.width >= payload.height else "height",
            )

    def _check_pictures(self, payload: Payload) -> None:
        if payload.task not in self.tasks:
            field = "mask" if payload.task == "inpainting" else "image"
            raise InvalidRequest(
                f"`{field}` must be left out: this model has no stock pipeline for it.", param=field
            )
        for lora in payload.loras:
            if lora.name not in self.loras:
                known = ", ".join(sorted(self.loras)[:20]) or "none"
                raise InvalidRequest(
                    f"`loras` names {lora.name}, which this server does not have. It has: {known}.",
                    param="loras",
                )


class StepWatch(Protocol):
    """Is called at every step while a batch of requests is drawn, and can end the drawing by raising."""

    def on_step(self, step: int, preview: Callable[[int], Pixels]) -> frozenset[int]:
        """Record that `step` steps are done; return the indices of requests that are no longer wanted.

        `preview(i)` draws a small picture of request i's first picture; it is called only when a new one is wanted.
        Raises to end the whole batch between two steps.
        """


@dataclass(frozen=True)
class Drawing:
    """The pictures of one request. Seconds and bytes are those of the whole pass that drew it."""

    pictures: list[Pixels] = field(repr=False)
    encode_text_s: float
    denoise_s: float
    decode_s: float
    peak_memory_bytes: int


class Model(Protocol):
    """A loaded model. Every method runs on the model thread: torch is much slower on a second one."""

    reference: ModelReference
    device: str
    threads: int
    versions: dict[str, str]
    max_batch: int
    """Pictures in one pass at most."""

    def warm_up(self) -> None:
        """Draw once, so that the first request does not pay for first-time setup."""

    def batch_key(self, payload: Payload) -> Hashable | None:
        """Return what requests must have in common to be drawn in one pass; None to always draw alone."""

    def draw(self, payloads: Sequence[Payload], watch: StepWatch) -> list[Drawing | None]:
        """Return one drawing per request, in their order; None for each that `watch` reported as unwanted.

        All `payloads` have the same batch key. Raises `ModelError`, `OutOfMemory`, or what `watch` raises; the whole
        pass is lost then.
        """

    def free_memory(self) -> None:
        """Free what a failed pass may have left on the device."""
