"""Trains an autoencoder of twice the side that shares the latents of a smaller one.

Diffusion is trained on the small autoencoder's latents, at a quarter of the pixels; the large one then decodes its
results at twice the side. Both can be trained at the same time, because the latents do not change.
"""

from __future__ import annotations

import copy
import json
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from inference.pocket.autoencoder import (
    LONGEST_AVERAGE,
    gradients,
    measure,
    pixels_of,
    rate_share,
    save_folder,
)
from inference.pocket.checkpoint import load_checkpoint, run_id, save_checkpoint
from inference.pocket.dataset import DataSet, load_dataset
from inference.pocket.half import HalfCopy, half_type
from inference.pocket.optimisers import follow_average
from inference.pocket.parts import build_autoencoder, load_autoencoder, quiet_libraries
from inference.pocket.sheets import save_sheet
from inference.pocket.variants import Pool, compose_pool

SIDE_PX = 128
HELD_BACK = 192
# Generated latents are less exact than encoded ones: the most noise that the decoder learns to remove.
LATENT_NOISE = 0.25
# Rows composed at a time and the steps they are used for: at this side the whole data set would take gigabytes.
ROWS_AT_A_TIME, STEPS_A_POOL = 300, 150
SAVE_EVERY_S = 300.0


@dataclass(frozen=True)
class EnlargePlan:
    """One training run. It ends at `samples`. One session stops after `minutes`; the next one resumes the run.

    `like`: the folder of the autoencoder whose latents are used; it downscales by 4.
    """

    root: Path
    name: str
    like: Path
    samples: int
    minutes: float
    batch: int
    rate: float
    seed: int


def train_enlarged(plan: EnlargePlan) -> None:
    """Run one session; writes the checkpoint, a folder that diffusers loads, and a sheet of original and decoded pairs.

    192 drawings (a third of a small data set) are held back from training; the printed PSNR is measured on them, with
    the small autoencoder's latents and with its own. Raises `PocketError` when the data set, folder, or checkpoint is
    not usable.
    """
    quiet_libraries()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dataset = load_dataset(plan.root)
    teacher = load_autoencoder(plan.like).to(device)
    torch.manual_seed(plan.seed)
    module = _grown(teacher).to(device).train()
    average = copy.deepcopy(module).eval().requires_grad_(False)
    optimiser = torch.optim.AdamW(module.parameters(), lr=plan.rate, betas=(0.9, 0.99), weight_decay=0.0)
    folder = plan.root / "runs" / plan.name
    checkpoint = folder / "state.safetensors"
    run = run_id(like=plan.like.resolve(), seed=plan.seed)
    progress = load_checkpoint(checkpoint, module, average, [optimiser], run)
    half = HalfCopy(module, half_type(device))
    small = copy.deepcopy(teacher).to(half_type(device))
    order = np.random.default_rng(plan.seed).permutation(len(dataset.rows))
    kept = min(HELD_BACK, len(order) // 3)
    held_back, shown = _held_back(dataset, order[:kept], plan.seed, device), order[kept:]
    started = last_save = time.monotonic()
    earlier_s = progress.seconds

    def save() -> None:
        save_checkpoint(checkpoint, module, average, [optimiser], progress)
        through_small = _psnr_db(average, held_back, _small_latents(teacher, held_back))
        psnr_db, _, pairs = measure(average, held_back)
        save_folder(average, folder / "vae")
        save_sheet(pairs, 8, folder / f"sheet-{progress.samples:08d}.png")
        line = {
            "samples": progress.samples,
            "minutes": round(progress.seconds / 60, 1),
            "psnr_db": round(psnr_db, 2),
            "psnr_of_small_latents_db": round(through_small, 2),
        }
        print(json.dumps(line), flush=True)

    pool: Pool | None = None
    pool_number = -1
    while progress.samples < plan.samples and time.monotonic() - started < plan.minutes * 60:
        # Depends on seed and step only, so that a resumed run equals an uninterrupted one.
        if pool is None or progress.step // STEPS_A_POOL != pool_number:
            pool_number = progress.step // STEPS_A_POOL
            pool = _pool(dataset, shown, (plan.seed, 1, pool_number))
        rng = np.random.default_rng((plan.seed, 0, progress.step))
        torch.manual_seed(int(rng.integers(2**62)))
        chosen = rng.choice(len(pool.pictures), min(plan.batch, len(pool.pictures)), replace=False)
        pixels = pixels_of(pool.pictures[np.sort(chosen)], device)
        for group in optimiser.param_groups:
            group["lr"] = plan.rate * rate_share(progress.step, progress.samples / plan.samples)
        _loss(half.working, small, pixels).backward()  # type: ignore[no-untyped-call]
        half.hand_over_gradients()
        torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimiser.step()
        half.follow()
        progress.step += 1
        progress.samples += len(chosen)
        progress.seconds = earlier_s + time.monotonic() - started
        follow_average(average, module, progress.step, LONGEST_AVERAGE)
        if time.monotonic() - last_save >= SAVE_EVERY_S:
            save()
            last_save = time.monotonic()
    save()


def _grown(teacher: Any) -> Any:
    """Return an autoencoder of twice the side, with the teacher's weights in the layers that match."""
    module = build_autoencoder(int(teacher.config.latent_channels), 8)
    module.register_to_config(scaling_factor=float(teacher.config.scaling_factor))
    own = module.state_dict()
    for name, value in teacher.state_dict().items():
        found = re.fullmatch(r"(encoder|decoder)\.layers\.(\d+)\.(.+)", name)
        if found is None:
            continue
        side, layer, rest = found[1], int(found[2]), found[3]
        # The encoder has one more downsampling step at its start, the decoder one more upsampling step at its end.
        target = f"{side}.layers.{layer + 1 if side == 'encoder' else layer}.{rest}"
        if (side == "decoder" or layer > 0) and own.get(target, value[:0]).shape == value.shape:
            own[target] = value.clone()
    module.load_state_dict(own)
    return module


def _small_latents(small: Any, pixels: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        latents: torch.Tensor = small.encode(F.avg_pool2d(pixels, 2).to(small.dtype)).latents
    return latents.float()


def _loss(module: Any, small: Any, pixels: torch.Tensor) -> torch.Tensor:
    wanted = _small_latents(small, pixels)
    strength = LATENT_NOISE * torch.rand(len(wanted), 1, 1, 1, device=pixels.device) ** 2
    noisy = wanted + torch.randn_like(wanted) * strength
    decoded = module.decode(noisy.to(module.dtype)).sample.float()
    exact = F.l1_loss(decoded, pixels) + 0.5 * F.mse_loss(decoded, pixels)
    edges = F.l1_loss(gradients(decoded), gradients(pixels))
    found = module.encode(pixels.to(module.dtype)).latents.float()
    total: torch.Tensor = exact + edges + F.mse_loss(found, wanted)
    return total


def _pool(dataset: DataSet, shown: np.ndarray[Any, Any], seed: tuple[int, int, int]) -> Pool:
    rng = np.random.default_rng(seed)
    chosen = rng.choice(shown, min(ROWS_AT_A_TIME, len(shown)), replace=False)
    return compose_pool(dataset, [dataset.rows[int(i)] for i in chosen], SIDE_PX, int(rng.integers(2**31)))


def _held_back(
    dataset: DataSet, indices: np.ndarray[Any, Any], seed: int, device: torch.device
) -> torch.Tensor:
    pool = compose_pool(dataset, [dataset.rows[int(i)] for i in indices], SIDE_PX, seed)
    every = max(1, len(pool.pictures) // HELD_BACK)
    return pixels_of(pool.pictures[::every][:HELD_BACK], device)


def _psnr_db(module: Any, pixels: torch.Tensor, latents: torch.Tensor) -> float:
    with torch.inference_mode():
        error = ((module.decode(latents).sample.clamp(-1, 1) - pixels) / 2).square().mean((1, 2, 3))
    return float((-10 * error.log10()).mean())
