"""What one model folder can draw, read from its configuration files before anything is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from inference.contract import GRID_PX, MAX_GUIDANCE, MAX_SIDE_PX, SchedulerName, Task
from inference.errors import StartError
from inference.pipelines.families import Family
from inference.pipelines.family import ModelLimits
from inference.pipelines.folder import ModelFolder

# FLUX's configuration does not state the side of its training pictures.
FLUX_NATIVE_LATENTS = 128
# Guidance of 1 or less has no effect: the picture depends on the prompt alone.
NO_GUIDANCE = 1.0


@dataclass(frozen=True)
class Guidance:
    """The highest guidance a model takes, and whether it takes a negative prompt."""

    maximum: float
    negative_prompt: bool


def find_limits(folder: ModelFolder, family: Family, loras: frozenset[str]) -> ModelLimits:
    """Return the limits. Raises `StartError` naming the configuration file that has a wrong value."""
    denoiser = folder.config(family.denoiser)
    native_px = _native_latents(folder, family, denoiser) * px_per_latent(folder)
    guidance = _guidance(folder, family, denoiser)
    tasks: set[Task] = {"text_to_image", "image_to_image"}
    if denoiser.get("in_channels") == family.inpainting_channels:
        tasks.add("inpainting")
    return ModelLimits(
        min_side_px=_card_px(
            folder, "min_side_px", max(family.grid_px, native_px // 8 // family.grid_px * family.grid_px)
        ),
        max_side_px=min(MAX_SIDE_PX, _card_px(folder, "max_side_px", 4 * native_px)),
        max_area_px=_card_px(folder, "max_area_px", 4 * native_px * native_px),
        native_px=native_px,
        schedulers=_schedulers(folder, family),
        grid_px=family.grid_px,
        max_guidance=guidance.maximum,
        takes_negative_prompt=guidance.negative_prompt,
        max_prompt_tokens=_prompt_tokens(folder, family, denoiser),
        tasks=frozenset(tasks),
        loras=loras,
    )


def px_per_latent(folder: ModelFolder) -> int:
    """Return the side in pixels of one latent."""
    vae = folder.config("vae")
    return int(2 ** (len(vae.get("block_out_channels") or vae.get("decoder_block_out_channels") or []) - 1))


def _native_latents(folder: ModelFolder, family: Family, denoiser: dict[str, Any]) -> int:
    sample_size = denoiser.get("sample_size")
    if sample_size is None and family.pipeline_class == "FluxPipeline":
        return FLUX_NATIVE_LATENTS
    sides = sample_size if isinstance(sample_size, list) else [sample_size]
    if not sides or not all(isinstance(side, int) and side > 0 for side in sides):
        raise StartError(
            f"{folder.path / family.denoiser / 'config.json'}: `sample_size` must be a number of latents."
        )
    return int(max(sides))


def _schedulers(folder: ModelFolder, family: Family) -> tuple[SchedulerName, ...]:
    config = folder.config("scheduler")
    without: set[SchedulerName] = set()
    if config.get("prediction_type", "epsilon") == "sample":
        # Euler does not support models that predict the picture itself.
        without = {"euler", "euler_ancestral"}
    elif config.get("beta_schedule") == "squaredcos_cap_v2" or config.get("rescale_betas_zero_snr"):
        # Its first steps are differences of numbers in the millions, which give NaN in float32.
        without = {"euler_ancestral"}
    return tuple(name for name in family.schedulers if name not in without)


def _guidance(folder: ModelFolder, family: Family, denoiser: dict[str, Any]) -> Guidance:
    """Return the guidance of a model. Distilled models are trained to draw without guidance, and draw badly with it.

    Nothing in a folder states this: turbo models are recognized by Euler's scheduler with trailing timestep spacing.
    `"guidance": true` or `false` in model_card.json overrides a wrong guess.
    """
    if family.pipeline_class == "FluxPipeline":
        # Its guidance is an input of the model (dev) or absent (schnell); there is no negative prompt.
        return Guidance(
            MAX_GUIDANCE if denoiser.get("guidance_embeds") else NO_GUIDANCE, negative_prompt=False
        )
    card = folder.card.get("guidance")
    if card is not None and not isinstance(card, bool):
        raise StartError(f"{folder.path / 'model_card.json'}: `guidance` must be true or false.")
    scheduler = folder.components.get("scheduler", ("", ""))[1]
    turbo = (
        scheduler in ("EulerDiscreteScheduler", "EulerAncestralDiscreteScheduler")
        and folder.config("scheduler").get("timestep_spacing") == "trailing"
    )
    guided = not turbo if card is None else card
    return Guidance(MAX_GUIDANCE if guided else NO_GUIDANCE, negative_prompt=guided)


def _prompt_tokens(folder: ModelFolder, family: Family, denoiser: dict[str, Any]) -> int:
    if family.pipeline_class == "FluxPipeline":
        return 512 if denoiser.get("guidance_embeds") else 256
    if "text_encoder_3" in folder.components:
        return 256
    return int(folder.config("text_encoder").get("max_position_embeddings", 77))


def _card_px(folder: ModelFolder, name: str, default: int) -> int:
    value = folder.card.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < GRID_PX:
        card = folder.path / "model_card.json"
        raise StartError(f"{card}: `{name}` must be a whole number of at least {GRID_PX}.")
    return value
