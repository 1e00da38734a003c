"""FLUX.1 dev and schnell: flow matching on packed latents, guidance as a number the model was trained with."""

from __future__ import annotations

from typing import Any

import torch

from inference.contract import Payload, Task
from inference.pipelines.form import Embedding, Form


class FluxForm(Form):
    """FLUX. It is never led away from a text: that would take a second pass, and the limits refuse it."""

    pipelines: dict[Task, str] = {
        "text_to_image": "FluxPipeline",
        "image_to_image": "FluxImg2ImgPipeline",
        "inpainting": "FluxInpaintPipeline",
    }
    sized_image_to_image = True
    step_rounding = -1e-3

    def encode(self, pipe: Any, text: str, max_tokens: int) -> Embedding:
        """Return T5's states and CLIP's pooled one."""
        embeds, pooled, _ = pipe.encode_prompt(text, text, max_sequence_length=max_tokens)
        return {"prompt_embeds": embeds, "pooled_prompt_embeds": pooled}

    def is_guided(self, payload: Payload) -> bool:
        """Never: its guidance is one of the model's inputs."""
        return False

    def unpack(self, latents: torch.Tensor, pipe: Any, payload: Payload) -> torch.Tensor:
        """Return latents as (pictures, channels, height, width): packed, each row holds 2 x 2 of them."""
        unpacked: torch.Tensor = pipe._unpack_latents(
            latents, payload.height, payload.width, pipe.vae_scale_factor
        )
        return unpacked


FORM = FluxForm()
