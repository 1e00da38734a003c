"""From a recognized model folder to the model that draws: torch and the libraries are imported here, and not before."""

from __future__ import annotations

import os
from contextlib import nullcontext

from inference.pipelines.family import Model
from inference.pipelines.folder import Revision
from inference.pipelines.found_model import FoundModel
from inference.pipelines.lean_imports import Wanted, keep_out_unused, without_collecting
from inference.pipelines.speed import SpeedWishes, choose_speed

SMALL_MODEL_BYTES = 200_000_000


def load_model(
    found: FoundModel, threads: int | None, wishes: SpeedWishes | None = None, *, lean: bool = False
) -> Model:
    """Return the loaded model; imports torch, takes seconds. Call it on the thread that will draw.

    `lean` is for processes that load no other model: what this one does not use is never imported.

    `threads` are torch's; None takes every core, or one for a small model: measured on two cores with pocket, 20
    steps take 0.65 s with two threads and 0.85 s with one, but 6-11 s and 1.5 s when other processes want the cores.
    Raises `StartError` when the weights do not fit the configuration, or `wishes` not the device.
    """
    # Reads every weight, without the interpreter: when the imports are done they are in memory, and hashed.
    revision = Revision(found.folder)
    with without_collecting() if lean else nullcontext():
        from inference.pipelines.tuning import find_device
    small = found.folder.weights_bytes() < SMALL_MODEL_BYTES
    if threads is None:
        threads = 1 if small else len(os.sched_getaffinity(0))
    device = find_device()
    speed = choose_speed(
        wishes or SpeedWishes(),
        device,
        found.family,
        found.folder.count_weights(),
        has_loras=bool(found.loras),
    )
    # Without accelerate the parts are made with random weights before they get theirs.
    needs_accelerate = not small or speed.offload != "none"
    wanted = Wanted(loras=bool(found.loras), accelerate=needs_accelerate, compiler=speed.compile)
    with keep_out_unused(wanted) if lean else nullcontext():
        with without_collecting() if lean else nullcontext():
            from inference.pipelines.diffusion import DiffusionModel
            from inference.pipelines.loading import import_classes

            import_classes(found.folder)
        return DiffusionModel(found, revision, threads, speed, device)
