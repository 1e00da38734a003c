"""From a recognized model folder to the model that draws: torch and the libraries are imported here, and not before."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from inference.pipelines.family import Model
from inference.pipelines.folder import Revision
from inference.pipelines.found_model import FoundModel
from inference.pipelines.speed import SpeedWishes, choose_speed

SMALL_MODEL_BYTES = 200_000_000


def load_model(
    found: FoundModel, threads: int | None, wishes: SpeedWishes | None = None, *, freeze_imports: bool = False
) -> Model:
    """Return the loaded model; imports torch, takes seconds. Call it on the thread that will draw.

    `threads` are torch's; None takes every core, or one for a small model: measured on two cores with pocket, 20
    steps take 0.65 s with two threads and 0.85 s with one, but 6-11 s and 1.5 s when other processes want the cores.
    `freeze_imports` keeps the garbage collector away from all objects that exist after the imports: the start is
    faster, and garbage of before is never collected, so it is for processes that do nothing but serve this model.
    Raises `StartError` when the weights do not fit the configuration, or `wishes` not the device.
    """
    # Reads every weight, without the interpreter: when the imports are done they are in memory, and hashed.
    revision = Revision(found.folder)
    with _frozen() if freeze_imports else nullcontext():
        from inference.pipelines.diffusion import DiffusionModel
        from inference.pipelines.loading import import_classes
        from inference.pipelines.tuning import find_device

        import_classes(found.folder)
    if threads is None:
        small = found.folder.weights_bytes() < SMALL_MODEL_BYTES
        threads = 1 if small else len(os.sched_getaffinity(0))
    device = find_device()
    speed = choose_speed(
        wishes or SpeedWishes(),
        device,
        found.family,
        found.folder.count_weights(),
        has_loras=bool(found.loras),
    )
    return DiffusionModel(found, revision, threads, speed, device)


@contextmanager
def _frozen() -> Iterator[None]:
    """Collect no garbage within, and never look again at what is there at the end.

    The imports leave half a million objects behind, which stay; the collector would look at them again and again while
    they arrive.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
