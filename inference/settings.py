"""The container's settings, read once from the environment; every problem is listed at start."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast, get_args

from inference.contract import ImageFormat
from inference.errors import StartError

# Where SageMaker unpacks a model's archive.
MODEL_DIR = Path("/opt/ml/model")
IMAGE_FORMATS: tuple[ImageFormat, ...] = get_args(ImageFormat)
# 200 pictures that pocket drew score 0.10 at most, in the median 0.002. Of its data (6,693 icons, each on one of five
# backgrounds) 1 scores over 0.9 (a donkey, 0.948) and none 0.95; on backgrounds at random the two donkeys that are
# drawn in skin-like tones reach 0.98. Measured 2026-11-21.
DEFAULT_NSFW_THRESHOLD = "0.95"


@dataclass(frozen=True)
class Settings:
    """`queue_size` counts waiting requests, not the running ones; `max_batch` is how many pictures are drawn in
    one pass at most; `threads` are torch's, None to choose by the model; `shutdown_s` is the time running requests
    get after SIGTERM (SageMaker kills 30 s after it). `nsfw_threshold` is the output check's lowest score that is
    withheld, None to switch the check off."""

    model_dir: Path
    host: str
    port: int
    queue_size: int
    max_batch: int
    threads: int | None
    shutdown_s: float
    nsfw_threshold: float | None
    image_format: ImageFormat


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Return the settings; raises `StartError` with one line a problem."""
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
    max_batch = number("INFERENCE_MAX_BATCH", 8, 1, 64)
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
    if problems:
        raise StartError("\n".join(problems))
    return Settings(
        model_dir=_model_dir(environment),
        host=environment.get("INFERENCE_HOST", "").strip() or "0.0.0.0",  # noqa: S104 - a container is reached from outside
        port=port,
        queue_size=queue_size,
        max_batch=max_batch,
        threads=threads,
        shutdown_s=float(shutdown_s),
        nsfw_threshold=nsfw_threshold,
        image_format=cast(ImageFormat, image_format),
    )


def _model_dir(environment: Mapping[str, str]) -> Path:
    """The folder that is asked for; else SageMaker's; else, where that one is empty, what came with the image."""
    asked = environment.get("INFERENCE_MODEL_DIR", "").strip()
    bundled = environment.get("INFERENCE_BUNDLED_MODEL_DIR", "").strip()
    if asked or not bundled or (MODEL_DIR.is_dir() and any(MODEL_DIR.iterdir())):
        return Path(asked or MODEL_DIR)
    return Path(bundled)
