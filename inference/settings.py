"""The container's settings, read once from the environment; every problem is listed at start."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_args

from inference.contract import ImageFormat
from inference.errors import StartError
from inference.pipelines.speed import DtypeName, Offload, SpeedWishes

# Where SageMaker unpacks a model's archive.
MODEL_DIR = Path("/opt/ml/model")
IMAGE_FORMATS: tuple[ImageFormat, ...] = get_args(ImageFormat)
# 200 pictures drawn by pocket score at most 0.10, with a median of 0.002. In its data (6,693 icons, each on one of five
# backgrounds) one scores over 0.9 (a donkey, 0.948) and none 0.95; on random backgrounds, two donkeys drawn in
# skin-like tones reach 0.98. Measured 2026-11-21.
DEFAULT_NSFW_THRESHOLD = "0.95"


@dataclass(frozen=True)
class Settings:
    """`queue_size` counts waiting requests, not the running ones; `threads` are torch's, None to let the model choose.

    `shutdown_s` is the time that running requests get after SIGTERM (SageMaker kills 30 s after it). `nsfw_threshold`
    is the lowest score that the output check withholds, None to turn the check off. `lora_dir` is None for `loras/` in
    the model's folder.
    """

    model_dir: Path
    host: str
    port: int
    queue_size: int
    threads: int | None
    shutdown_s: float
    nsfw_threshold: float | None
    image_format: ImageFormat
    lora_dir: Path | None
    speed: SpeedWishes


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Return the settings. Raises `StartError` with one line per problem."""
    problems: list[str] = []

    def number(name: str, default: int, low: int, high: int) -> int:
        text = environment.get(name, "").strip() or str(default)
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if not low <= value <= high:
            problems.append(f"{name}={text!r} must be a whole number from {low} to {high}.")
            return default
        return value

    port = number("INFERENCE_PORT", 8080, 0, 65535)
    queue_size = number("INFERENCE_QUEUE_SIZE", 16, 1, 1000)
    threads = number("INFERENCE_THREADS", 0, 0, 1024) or None
    shutdown_s = number("INFERENCE_SHUTDOWN_S", 25, 0, 3600)

    nsfw_threshold: float | None = None
    text = environment.get("INFERENCE_NSFW_THRESHOLD", "").strip() or DEFAULT_NSFW_THRESHOLD
    if text != "off":
        try:
            nsfw_threshold = float(text)
        except ValueError:
            nsfw_threshold = math.nan
        if not 0 < nsfw_threshold <= 1:
            problems.append(
                f"INFERENCE_NSFW_THRESHOLD={text!r} must be a number over 0 and at most 1, or `off`."
            )

    image_format = environment.get("INFERENCE_IMAGE_FORMAT", "").strip() or "png"
    if image_format not in IMAGE_FORMATS:
        problems.append(f"INFERENCE_IMAGE_FORMAT={image_format!r} must be {' or '.join(IMAGE_FORMATS)}.")
    speed = _read_speed(environment, number, problems)
    if problems:
        raise StartError("\n".join(problems))
    return Settings(
        model_dir=_model_dir(environment),
        host=environment.get("INFERENCE_HOST", "").strip() or "0.0.0.0",  # noqa: S104 - a container is reached from outside
        port=port,
        queue_size=queue_size,
        threads=threads,
        shutdown_s=float(shutdown_s),
        nsfw_threshold=nsfw_threshold,
        image_format=cast(ImageFormat, image_format),
        lora_dir=_folder(environment, "INFERENCE_LORA_DIR"),
        speed=speed,
    )


def _read_speed(
    environment: Mapping[str, str], number: Callable[[str, int, int, int], int], problems: list[str]
) -> SpeedWishes:
    def choice(name: str, choices: tuple[str, ...]) -> Any:
        value = environment.get(name, "").strip() or "auto"
        if value not in ("auto", *choices):
            problems.append(f"{name}={value!r} must be auto, {', '.join(choices[:-1])} or {choices[-1]}.")
        return value

    switch: tuple[str, ...] = ("on", "off")
    return SpeedWishes(
        dtype=choice("INFERENCE_DTYPE", get_args(DtypeName)),
        offload=choice("INFERENCE_OFFLOAD", get_args(Offload)),
        compile=choice("INFERENCE_COMPILE", switch),
        compile_cache_dir=_folder(environment, "INFERENCE_COMPILE_CACHE_DIR"),
        fuse_qkv=choice("INFERENCE_FUSE_QKV", switch),
        channels_last=choice("INFERENCE_CHANNELS_LAST", switch),
        step_cache=number("INFERENCE_STEP_CACHE", 0, 0, 100) / 100,
        vae_tiling=choice("INFERENCE_VAE_TILING", switch),
        vae_slicing=choice("INFERENCE_VAE_SLICING", switch),
        prompt_cache_bytes=number("INFERENCE_PROMPT_CACHE_MB", 64, 0, 65536) * 1024 * 1024,
        # 0 chooses by precision.
        max_batch=number("INFERENCE_MAX_BATCH", 0, 0, 64) or None,
    )


def _folder(environment: Mapping[str, str], name: str) -> Path | None:
    text = environment.get(name, "").strip()
    return Path(text) if text else None


def _model_dir(environment: Mapping[str, str]) -> Path:
    """Return the requested folder, else SageMaker's, else (if that is empty) the one in the image."""
    asked = environment.get("INFERENCE_MODEL_DIR", "").strip()
    bundled = environment.get("INFERENCE_BUNDLED_MODEL_DIR", "").strip()
    if asked or not bundled or (MODEL_DIR.is_dir() and any(MODEL_DIR.iterdir())):
        return Path(asked or MODEL_DIR)
    return Path(bundled)
