"""How a family's stock pipelines are called: the common form here, the differences in one file per family."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from inference.contract import Payload, Task

# The encoding of one text, by the pipeline's argument names; every tensor is (1, ...).
Embedding = dict[str, torch.Tensor]
AfterStep = Callable[[Any, int, Any, dict[str, Any]], dict[str, Any]]


class Form:
    """Stable Diffusion's form; other families override what differs. It is stateless."""

    pipelines: dict[Task, str] = {
        "text_to_image": "StableDiffusionPipeline",
        "image_to_image": "StableDiffusionImg2ImgPipeline",
        "inpainting": "StableDiffusionInpaintPipeline",
    }
    # Image-to-image pipelines of UNets take the size from the picture.
    sized_image_to_image = False
    # Added to the steps when they are given as a share of all steps: some pipelines round it down, others up.
    step_rounding = 1e-3

    def encode(self, pipe: Any, text: str, max_tokens: int) -> Embedding:
        """Return the embedding of one text as the pipeline's arguments."""
        embeds, _ = pipe.encode_prompt(text, pipe._execution_device, 1, False)
        return {"prompt_embeds": embeds}

    def encode_negative(self, pipe: Any, text: str, max_tokens: int) -> Embedding:
        """Return the embedding of the negative prompt, under the same names as `encode`."""
        return self.encode(pipe, text, max_tokens)

    def is_guided(self, payload: Payload) -> bool:
        """Return whether the pipeline uses a negative prompt beside the prompt."""
        return payload.guidance_scale > 1

    def arguments(self, payload: Payload, rows: Sequence[Payload]) -> dict[str, Any]:
        """Return the arguments of one pass except embeddings, generators, and callbacks; `rows` has one payload per
        picture.
        """
        arguments: dict[str, Any] = {
            "num_inference_steps": payload.num_inference_steps,
            "guidance_scale": payload.guidance_scale,
        }
        if payload.task != "image_to_image" or self.sized_image_to_image:
            arguments |= {"width": payload.width, "height": payload.height}
        if payload.task != "text_to_image":
            arguments["image"] = _tensor([row.image_pixels for row in rows])
            arguments["strength"] = self._strength(payload)
        if payload.task == "inpainting":
            arguments["mask_image"] = _tensor([row.mask_pixels[..., None] for row in rows])
        return arguments

    def draw_latents(self, pipe: Any, arguments: dict[str, Any], after_step: AfterStep) -> Any:
        """Run the pipeline up to its latents, (pictures, channels, height, width) or packed."""
        return pipe(**arguments, callback_on_step_end=after_step, output_type="latent").images

    def unpack(self, latents: torch.Tensor, pipe: Any, payload: Payload) -> torch.Tensor:
        """Return latents as (pictures, channels, height, width)."""
        return latents

    def decode(self, pipe: Any, latents: torch.Tensor) -> torch.Tensor:
        """Return pictures (n, 3, height, width) in -1 to 1 of unpacked latents."""
        vae = pipe.vae
        shift = getattr(vae.config, "shift_factor", None) or 0.0
        image: torch.Tensor = vae.decode(
            latents.to(vae.dtype) / vae.config.scaling_factor + shift, return_dict=False
        )[0]
        return image

    def _strength(self, payload: Payload) -> float:
        steps, of = payload.steps_to_draw, payload.num_inference_steps
        # Exactly 1 would start from pure noise.
        return 1.0 if steps == of else (steps + self.step_rounding) / of


def _tensor(pictures: list[Any]) -> torch.Tensor:
    """Return float32 (n, channels, height, width) in 0 to 1 of uint8 (height, width, channels)."""
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255
