"""The container's settings, read once from the environment; every problem is listed at start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from inference.errors import StartError


@dataclass(frozen=True)
class Settings:
    """`queue_size` counts waiting requests, not the running ones; `max_batch` is how many pictures are drawn in
    one pass at most; `threads` are torch's, None to choose by the model; `shutdown_s` is the time running requests
    get after SIGTERM (SageMaker kills 30 s after it)."""

    model_dir: Path
    host: str
    port: int
    queue_size: int
    max_batch: int
    threads: int | None
    shutdown_s: float


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
    if problems:
        raise StartError("\n".join(problems))
    return Settings(
        model_dir=Path(environment.get("INFERENCE_MODEL_DIR", "").strip() or "/opt/ml/model"),
        host=environment.get("INFERENCE_HOST", "").strip() or "0.0.0.0",  # noqa: S104 - a container is reached from outside
        port=port,
        queue_size=queue_size,
        max_batch=max_batch,
        threads=threads,
        shutdown_s=float(shutdown_s),
    )
