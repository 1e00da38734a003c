"""Previews: the picture that the model expects at a step, decoded cheaply."""

from __future__ import annotations

import functools
import math
from typing import Any

import torch

PREVIEW_SIDE_PX = 256


class StepTap:
    """Wraps a scheduler's `step` and keeps its last arguments, to estimate the finished latents.

    The latents themselves are mostly noise until the end; the estimate shows the picture from the first steps.
    """

    def __init__(self, scheduler: Any) -> None:
        self._scheduler = scheduler
        self._has_sigmas = "Euler" in type(scheduler).__name__
        self._is_flow = "FlowMatch" in type(scheduler).__name__
        self._last: tuple[torch.Tensor, torch.Tensor, Any, int | None] | None = None
        inner = scheduler.step

        # `wraps` keeps the signature, which the pipeline inspects to decide what to pass.
        @functools.wraps(inner)
        def step(model_output: Any, timestep: Any, sample: Any, *args: Any, **kwargs: Any) -> Any:
            if self._has_sigmas and scheduler.step_index is None:
                # The scheduler would set its step index inside `step`, too late for the line below.
                scheduler._init_step_index(timestep)
            # Only store references: most steps show no preview. `step` increases the index, so keep it too.
            self._last = (model_output, sample, timestep, scheduler.step_index if self._has_sigmas else None)
            return inner(model_output, timestep, sample, *args, **kwargs)

        scheduler.step = step

    def expected_latents(self, row: int) -> torch.Tensor:
        """Return the estimate of the finished latents of picture `row`: float32 (1, channels, height, width) or
        packed.
        """
        if self._last is None:
            raise RuntimeError("expected_latents() before the first step")
        output, sample, timestep, index = self._last
        output, sample = output[row : row + 1].float(), sample[row : row + 1].float()
        if index is None:
            # sample = a * picture + b * noise with a^2 + b^2 = 1 (Ho et al. 2020), and the velocity is
            # a * noise - b * picture (Salimans and Ho 2022).
            a_squared = float(self._scheduler.alphas_cumprod[int(timestep)])
        else:
            sigma = float(self._scheduler.sigmas[index])
            if self._is_flow:
                # sample = (1 - sigma) * picture + sigma * noise, output = noise - picture (Lipman et al. 2023).
                return sample - sigma * output
            # Euler's samples are picture + sigma * noise.
            a_squared = 1 / (1 + sigma**2)
            sample = sample * math.sqrt(a_squared)
        a, b = math.sqrt(max(a_squared, 1e-8)), math.sqrt(1 - min(a_squared, 1.0))
        kind = self._scheduler.config.prediction_type
        if kind == "sample":
            return output
        if kind == "v_prediction":
            return a * sample - b * output
        return (sample - b * output) / a


def shrink_latents(latents: torch.Tensor, px_per_latent: int) -> torch.Tensor:
    """Return `latents` (1, channels, height, width) downscaled to decode to at most 256 px per side."""
    longest_px = max(latents.shape[-2:]) * px_per_latent
    if longest_px <= PREVIEW_SIDE_PX:
        return latents
    ratio = PREVIEW_SIDE_PX / longest_px
    size = [max(1, int(side * ratio)) for side in latents.shape[-2:]]
    return torch.nn.functional.interpolate(latents, size=size, mode="area")
