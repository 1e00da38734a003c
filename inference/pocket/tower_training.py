"""The training loop of a tower and the module around it: seeded, resumable, with averaged weights."""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from inference.pocket.checkpoint import load_checkpoint, run_id, save_checkpoint
from inference.pocket.tower import SIDE_PX
from inference.pocket.tower_pictures import Drawings, Wear

WARM_UP_STEPS = 60
LONGEST_AVERAGE = 0.99
SAVE_EVERY_S = 240.0
REPORT_EVERY_S = 60.0
WEIGHT_DECAY = 0.03
# Pictures grow during a run: small ones hold most of the information at a third of the cost (progressive resizing, as
# in Tan and Le 2021). Sides in pixels, each up to this share of the run.
SIDES_PX = ((32, 0.55), (48, 0.85), (SIDE_PX, 1.0))


@dataclass(frozen=True)
class TowerPlan:
    """One training run. It ends at `samples`. One session stops after `minutes`; the next one resumes the run."""

    root: Path
    name: str
    samples: int
    minutes: float = 600.0
    batch: int = 96
    rate: float = 2.5e-3
    seed: int = 0

    @property
    def folder(self) -> Path:
        """The folder of the run's checkpoint."""
        return self.root / "runs" / self.name


@dataclass(frozen=True)
class Lesson:
    """The training data: drawings, which of them are shown and how often, and how worn they are."""

    drawings: Drawings
    shown: npt.NDArray[np.int64]
    shares: npt.NDArray[np.float64]
    wear: Wear


Loss = Callable[[nn.Module, torch.Tensor, npt.NDArray[np.int64]], torch.Tensor]
"""The loss of a module on pictures float32 (n, 3, side, side) of the rows at the given places."""


def train_tower(
    plan: TowerPlan, module: nn.Module, lesson: Lesson, loss: Loss, **facts: object
) -> tuple[nn.Module, bool]:
    """Run one session. Returns the averaged module, and whether the run is complete.

    Writes `<folder>/state.safetensors` with the optimizer's state. `facts` are settings that, besides the plan, must be
    the same to resume a run. Raises `PocketError` when the existing checkpoint belongs to another run.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    module.to(device).train()
    average = copy.deepcopy(module).eval().requires_grad_(False)
    steps = _Steps(module, plan.rate)
    checkpoint = plan.folder / "state.safetensors"
    run = run_id(
        seed=plan.seed, batch=plan.batch, rate=plan.rate, wear=lesson.wear, rows=len(lesson.shown), **facts
    )
    progress = load_checkpoint(checkpoint, module, average, steps.all, run)
    started = last_save = last_report = time.monotonic()
    earlier_s = progress.seconds
    while progress.samples < plan.samples and time.monotonic() - started < plan.minutes * 60:
        rng = np.random.default_rng((plan.seed, progress.step))
        places = rng.choice(lesson.shown, plan.batch, p=lesson.shares)
        side_px = _side_px(progress.samples / plan.samples)
        pictures = lesson.drawings.batch(places, lesson.wear, int(rng.integers(2**62)), side_px)
        pictures = pictures.to(device, memory_format=torch.channels_last)
        with torch.autocast(device.type, torch.bfloat16):
            found = loss(module, pictures, places)
        module.zero_grad(set_to_none=True)
        found.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(module.parameters(), 2.0)
        steps.take(_rate_share(progress.step, progress.samples / plan.samples))
        progress.step += 1
        progress.samples += plan.batch
        progress.seconds = earlier_s + time.monotonic() - started
        _follow(average, module, progress.step)
        if time.monotonic() - last_report >= REPORT_EVERY_S:
            last_report = time.monotonic()
            line = {"run": plan.name, "samples": progress.samples, "loss": round(float(found.detach()), 3)}
            print(json.dumps(line | {"minutes": round(progress.seconds / 60, 1)}), flush=True)
        if time.monotonic() - last_save >= SAVE_EVERY_S:
            last_save = time.monotonic()
            save_checkpoint(checkpoint, module, average, steps.all, progress)
    save_checkpoint(checkpoint, module, average, steps.all, progress)
    return average.cpu(), progress.samples >= plan.samples


class _Steps:
    """Muon (Jordan 2024) for the convolutions as matrices (out, in x k x k), AdamW for the rest."""

    def __init__(self, module: nn.Module, rate: float) -> None:
        # The first convolution faces pixels, not a layer, so orthogonal steps do not suit it.
        matrices = [p for p in module.parameters() if p.ndim == 4 and p.shape[1] > 3]
        taken = {id(p) for p in matrices}
        rest = [p for p in module.parameters() if id(p) not in taken]
        # Views, so that a step changes the module's own weights.
        self._matrices = [(p, nn.Parameter(p.data.view(len(p), -1))) for p in matrices]
        self._rate = rate
        self.all: tuple[torch.optim.Optimizer, ...] = (
            torch.optim.Muon(
                [view for _, view in self._matrices],
                lr=rate,
                weight_decay=WEIGHT_DECAY,
                adjust_lr_fn="match_rms_adamw",
            ),
            torch.optim.AdamW(
                [
                    {"params": [p for p in rest if p.ndim > 1], "weight_decay": WEIGHT_DECAY},
                    # Norms, biases, and scales have no weight decay.
                    {"params": [p for p in rest if p.ndim <= 1], "weight_decay": 0.0},
                ],
                lr=rate,
                betas=(0.9, 0.98),
            ),
        )

    def take(self, share: float) -> None:
        """Take an optimizer step with the current gradients, at `share` of the rate."""
        for parameter, view in self._matrices:
            view.grad = None if parameter.grad is None else parameter.grad.reshape(view.shape)
        for optimiser in self.all:
            for group in optimiser.param_groups:
                group["lr"] = self._rate * share
            optimiser.step()


def _follow(average: nn.Module, module: nn.Module, step: int) -> None:
    keep = min(LONGEST_AVERAGE, (step + 1) / (step + 20))
    with torch.no_grad():
        for slow, fast in zip(average.parameters(), module.parameters(), strict=True):
            slow.lerp_(fast, 1 - keep)
        # The norms' running statistics are already averages.
        for copied, fresh in zip(average.buffers(), module.buffers(), strict=True):
            copied.copy_(fresh)


def _side_px(done: float) -> int:
    return next((side_px for side_px, until in SIDES_PX if done < until), SIDE_PX)


def _rate_share(step: int, done: float) -> float:
    return min(1.0, (step + 1) / WARM_UP_STEPS) * (
        0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
    )
