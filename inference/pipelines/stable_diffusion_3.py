"""Stable Diffusion 3 and 3.5: a transformer with flow matching, two CLIPs and an optional T5."""

from __future__ import annotations

from typing import Any

from inference.contract import Task
from inference.pipelines.form import Embedding, Form

# T5's length in the sequence, also when zeros replace it: the stock pipeline's default.
SEQUENCE_TOKENS = 256


class StableDiffusion3Form(Form):
    """SD 3.x. Without T5, the stock pipeline uses zeros instead."""

    pipelines: dict[Task, str] = {
        "text_to_image": "StableDiffusion3Pipeline",
        "image_to_image": "StableDiffusion3Img2ImgPipeline",
        "inpainting": "StableDiffusion3InpaintPipeline",
    }
    sized_image_to_image = True
    step_rounding = -1e-3

    def encode(self, pipe: Any, text: str, max_tokens: int) -> Embedding:
        """Return the hidden states of the three encoders as one sequence, and the pooled ones of both CLIPs."""
        embeds, _, pooled, _ = pipe.encode_prompt(
            text, text, text, do_classifier_free_guidance=False, max_sequence_length=SEQUENCE_TOKENS
        )
        return {"prompt_embeds": embeds, "pooled_prompt_embeds": pooled}


FORM = StableDiffusion3Form()
