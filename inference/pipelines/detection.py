"""Which family a model folder belongs to, and its limits, found without loading it."""

from __future__ import annotations

import os
from pathlib import Path

from inference.contract import GRID_PX, MAX_SIDE_PX, SCHEDULER_NAMES
from inference.errors import StartError
from inference.pipelines.family import Model, ModelLimits
from inference.pipelines.folder import ModelFolder, inspect_folder

SMALL_MODEL_BYTES = 200_000_000
STABLE_DIFFUSION_PARTS: dict[str, frozenset[str]] = {
    "tokenizer": frozenset({"CLIPTokenizer"}),
    "text_encoder": frozenset({"CLIPTextModel"}),
    "unet": frozenset({"UNet2DConditionModel"}),
    "vae": frozenset({"AutoencoderKL", "AutoencoderTiny"}),
}


def find_model(path: Path) -> tuple[ModelFolder, ModelLimits]:
    """Return the inspected folder and its limits; raises `StartError` when no family here can load it."""
    folder = inspect_folder(path)
    index = folder.path / "model_index.json"
    if folder.pipeline_class != "StableDiffusionPipeline":
        raise StartError(
            f"{index}: `{folder.pipeline_class}` is not a family this server knows; StableDiffusionPipeline is."
        )
    for part, classes in STABLE_DIFFUSION_PARTS.items():
        found = folder.components.get(part, ("", "nothing"))[1]
        if found not in classes:
            raise StartError(f"{index}: `{part}` must be {' or '.join(sorted(classes))}, not {found}.")
    for part in ("text_encoder", "unet", "vae"):
        if not any((folder.path / part).glob("*.safetensors")):
            raise StartError(f"{folder.path / part} holds no .safetensors file: the weights are missing.")
    scheduler = folder.components.get("scheduler", ("", "nothing"))[1]
    if not scheduler.endswith("Scheduler"):
        raise StartError(f"{index}: `scheduler` must be a scheduler of diffusers, not {scheduler}.")
    extra = sorted(folder.components.keys() - STABLE_DIFFUSION_PARTS.keys() - {"scheduler"})
    if extra:
        raise StartError(f"{index}: {', '.join(extra)} would not be run by this server; remove it.")
    return folder, _limits(folder)


def load_model(folder: ModelFolder, threads: int | None, max_batch: int = 8) -> Model:
    """Return the loaded model; imports torch, takes seconds. Call it on the thread that will draw.

    It draws at most `max_batch` pictures in one pass.

    `threads` are torch's; None takes every core, or one for a small model: measured on two cores with pocket, 20
    steps take 0.65 s with two threads and 0.85 s with one, but 6-11 s and 1.5 s when other processes want the cores.
    Raises `StartError` when the weights do not fit the configuration.
    """
    from inference.pipelines.stable_diffusion import StableDiffusionModel

    if threads is None:
        small = folder.weights_bytes() < SMALL_MODEL_BYTES
        threads = 1 if small else len(os.sched_getaffinity(0))
    return StableDiffusionModel(folder, threads, max_batch)


def _limits(folder: ModelFolder) -> ModelLimits:
    unet, vae = folder.config("unet"), folder.config("vae")
    sample_size = unet.get("sample_size")
    sides = sample_size if isinstance(sample_size, list) else [sample_size]
    scale = 2 ** (len(vae.get("block_out_channels") or vae.get("decoder_block_out_channels") or []) - 1)
    if not sides or not all(isinstance(side, int) and side > 0 for side in sides):
        raise StartError(
            f"{folder.path / 'unet' / 'config.json'}: `sample_size` must be a number of latents."
        )
    native_px = max(sides) * int(scale)
    card = folder.path / "model_card.json"

    def setting(name: str, default: int) -> int:
        value = folder.card.get(name, default)
        if not isinstance(value, int) or isinstance(value, bool) or value < GRID_PX:
            raise StartError(f"{card}: `{name}` must be a whole number of at least {GRID_PX}.")
        return value

    prediction = folder.config("scheduler").get("prediction_type", "epsilon")
    # Euler has no form for models that predict the picture itself.
    schedulers = tuple(n for n in SCHEDULER_NAMES if not (n == "euler" and prediction == "sample"))
    return ModelLimits(
        min_side_px=setting("min_side_px", max(GRID_PX, native_px // 8 // GRID_PX * GRID_PX)),
        max_side_px=min(MAX_SIDE_PX, setting("max_side_px", 4 * native_px)),
        max_area_px=setting("max_area_px", 4 * native_px * native_px),
        schedulers=schedulers,
    )
