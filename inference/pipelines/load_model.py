"""Loads a recognized model folder; torch and the libraries are imported only here."""

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

    `threads` are torch's; None uses all cores, or one for a small model. Measured on two cores with pocket, 20 steps
    take 0.65 s with two threads and 0.85 s with one, but 6-11 s and 1.5 s when other processes use the cores.
    `freeze_imports` excludes all objects that exist after the imports from garbage collection: startup is faster, but
    earlier garbage is never collected, so it is for processes that only serve this model. Raises `StartError` when the
    weights do not match the configuration, or `wishes` do not match the device.
    """
    # Hashes all weights while the imports run, without blocking the interpreter; the files are then cached in memory.
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
    """Pause garbage collection, and exclude all objects that exist at the end from it permanently.

    The imports create half a million lasting objects, which the collector would scan repeatedly during the imports.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
