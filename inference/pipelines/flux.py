"""FLUX.1 dev and schnell: flow matching on packed latents, with guidance as an input of the model."""

from __future__ import annotations

from typing import Any

import torch

from inference.contract import Payload, Task
from inference.pipelines.form import Embedding, Form


class FluxForm(Form):
    """FLUX. A negative prompt would need a second pass, so the limits refuse it."""

    pipelines: dict[Task, str] = {
        "text_to_image": "FluxPipeline",
        "image_to_image": "FluxImg2ImgPipeline",
        "inpainting": "FluxInpaintPipeline",
    }
    sized_image_to_image = True
    step_rounding = -1e-3

    def encode(self, pipe: Any, text: str, max_tokens: int) -> Embedding:
        """Return T5's hidden states and CLIP's pooled one."""
        embeds, pooled, _ = pipe.encode_prompt(text, text, max_sequence_length=max_tokens)
        return {"prompt_embeds": embeds, "pooled_prompt_embeds": pooled}

    def is_guided(self, payload: Payload) -> bool:
        """Return False: guidance is an input of the model."""
        return False

    def unpack(self, latents: torch.Tensor, pipe: Any, payload: Payload) -> torch.Tensor:
        """Return latents as (pictures, channels, height, width); each packed row holds 2 x 2 of them."""
        unpacked: torch.Tensor = pipe._unpack_latents(
            latents, payload.height, payload.width, pipe.vae_scale_factor
        )
        return unpacked


FORM = FluxForm()
