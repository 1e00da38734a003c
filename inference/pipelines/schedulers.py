"""The schedulers a request may name, built from the model's own noise configuration."""

from __future__ import annotations

from typing import Any

from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    UniPCMultistepScheduler,
)

from inference.contract import SchedulerName


def build_scheduler(name: SchedulerName, config: Any) -> Any:
    """Return a fresh scheduler for one request: it keeps state from step to step."""
    if name == "ddim":
        return DDIMScheduler.from_config(config)
    if name == "unipc":
        return UniPCMultistepScheduler.from_config(config)
    if name == "dpmpp_2m":
        return DPMSolverMultistepScheduler.from_config(config, algorithm_type="dpmsolver++", solver_order=2)
    return EulerDiscreteScheduler.from_config(config)
