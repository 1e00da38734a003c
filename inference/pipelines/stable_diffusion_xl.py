"""SDXL and SDXL-Turbo: two text encoders, a pooled embedding, an autoencoder that overflows in half precision."""

from __future__ import annotations

from typing import Any

import torch

from inference.contract import Payload, Task
from inference.pipelines.form import AfterStep, Embedding, Form

# The share of the steps after which the refiner takes over, as published (Podell et al. 2023).
REFINED_FROM = 0.8


class StableDiffusionXLForm(Form):
    """SDXL, with a refiner for text-to-image if the folder has one."""

    pipelines: dict[Task, str] = {
        "text_to_image": "StableDiffusionXLPipeline",
        "image_to_image": "StableDiffusionXLImg2ImgPipeline",
        "inpainting": "StableDiffusionXLInpaintPipeline",
    }

    def encode(self, pipe: Any, text: str, max_tokens: int) -> Embedding:
        """Return the hidden states of both encoders, and the pooled one."""
        embeds, _, pooled, _ = pipe.encode_prompt(text, do_classifier_free_guidance=False)
        return {"prompt_embeds": embeds, "pooled_prompt_embeds": pooled}

    def encode_negative(self, pipe: Any, text: str, max_tokens: int) -> Embedding:
        """Return zeros for an empty text if the model was trained with them, like the stock pipeline for None."""
        embedding = self.encode(pipe, text, max_tokens)
        if not text and pipe.config.get("force_zeros_for_empty_prompt"):
            return {name: torch.zeros_like(tensor) for name, tensor in embedding.items()}
        return embedding

    def decode(self, pipe: Any, latents: torch.Tensor) -> torch.Tensor:
        """Return pictures in -1 to 1; a float16 autoencoder that overflows is run in float32."""
        vae = pipe.vae
        if vae.dtype != torch.float16 or not getattr(vae.config, "force_upcast", False):
            return super().decode(pipe, _unscale(vae, latents))
        vae.to(torch.float32)
        try:
            return super().decode(pipe, _unscale(vae, latents))
        finally:
            vae.to(torch.float16)


def refine(
    base: Any, refiner: Any, arguments: dict[str, Any], refiner_texts: dict[str, Any], after_step: AfterStep
) -> Any:
    """Return latents drawn by `base` up to the share `REFINED_FROM` of the steps, and by `refiner` from there.

    `refiner_texts` are the refiner's own embeddings. `after_step` counts the steps of both.
    """
    done = 0

    def count(pipe: Any, index: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        nonlocal done
        done = index + 1
        return after_step(pipe, index, timestep, tensors)

    def count_on(pipe: Any, index: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        return after_step(pipe, before + index, timestep, tensors)

    latents = base(
        **arguments, denoising_end=REFINED_FROM, callback_on_step_end=count, output_type="latent"
    ).images
    before = done
    kept = ("num_inference_steps", "guidance_scale", "generator")
    return refiner(
        **{name: arguments[name] for name in kept},
        **refiner_texts,
        image=latents,
        denoising_start=REFINED_FROM,
        # The requested size; the refiner knows only the size of the latents.
        original_size=(arguments["height"], arguments["width"]),
        target_size=(arguments["height"], arguments["width"]),
        callback_on_step_end=count_on,
        output_type="latent",
    ).images


def _unscale(vae: Any, latents: torch.Tensor) -> torch.Tensor:
    """Undo the per-channel normalization of some SDXL models, as the stock pipeline does."""
    mean, std = (getattr(vae.config, name, None) for name in ("latents_mean", "latents_std"))
    if mean is None or std is None:
        return latents
    shape = (1, -1, 1, 1)
    factors = torch.tensor(std, device=latents.device, dtype=latents.dtype).view(shape)
    # The stock formula is latents * std / scaling_factor + mean; the division follows in `Form.decode`.
    offset = torch.tensor(mean, device=latents.device, dtype=latents.dtype).view(shape)
    unscaled: torch.Tensor = latents * factors + offset * vae.config.scaling_factor
    return unscaled


def can_refine(payload: Payload) -> bool:
    """Return whether the refiner is used: it needs at least one step."""
    return payload.task == "text_to_image" and round(payload.num_inference_steps * (1 - REFINED_FROM), 6) >= 1


FORM = StableDiffusionXLForm()
