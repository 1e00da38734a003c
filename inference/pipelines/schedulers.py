"""The schedulers that a request can name, built from the model's own noise configuration."""

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
    """Return a new scheduler for one request: it keeps state between steps."""
    made_for: dict[str, Any] = {}
    if name == "dpmpp_2m":
        made_for = {"algorithm_type": "dpmsolver++", "solver_order": 2}
    elif name == "ddim":
        # Its default is for pixels in -1 to 1, which latents exceed; most folders do not set it.
        made_for = {"clip_sample": config.get("clip_sample", False)}
    return getattr(diffusers, CLASSES[name]).from_config(config, **made_for)
