"""The schedulers a request may name, built from the model's own noise configuration."""

from __future__ import annotations

from typing import Any

import diffusers

from inference.contract import SchedulerName

CLASSES: dict[SchedulerName, str] = {
    "ddim": "DDIMScheduler",
    "unipc": "UniPCMultistepScheduler",
    "dpmpp_2m": "DPMSolverMultistepScheduler",
    "euler": "EulerDiscreteScheduler",
    "euler_ancestral": "EulerAncestralDiscreteScheduler",
    "lcm": "LCMScheduler",
    "flow_euler": "FlowMatchEulerDiscreteScheduler",
}


def build_scheduler(name: SchedulerName, config: Any) -> Any:
    """Return a fresh scheduler for one request: it keeps state from step to step."""
    made_for: dict[str, Any] = {}
    if name == "dpmpp_2m":
        made_for = {"algorithm_type": "dpmsolver++", "solver_order": 2}
    elif name == "ddim":
        # Its default is made for pixels from -1 to 1; latents are not, and most folders do not say.
        made_for = {"clip_sample": config.get("clip_sample", False)}
    return getattr(diffusers, CLASSES[name]).from_config(config, **made_for)
