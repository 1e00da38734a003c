"""Trains the autoencoder that converts pictures to latents and back, on every drawing of the data set."""

from __future__ import annotations

import copy
import json
import math
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from inference.pocket.checkpoint import load_checkpoint, run_id, save_checkpoint
from inference.pocket.dataset import load_dataset
from inference.pocket.optimisers import follow_average
from inference.pocket.parts import build_autoencoder, load_autoencoder, quiet_libraries, tidy_folder
from inference.pocket.sheets import save_sheet
from inference.pocket.variants import compose_pool

SIDE_PX = 64
HELD_BACK = 256
LATENT_NOISE = 0.05
LONGEST_AVERAGE = 0.995
SAVE_EVERY_S = 300.0


@dataclass(frozen=True)
class AutoencoderPlan:
    """One training run. It ends at `samples`. One session stops after `minutes`; the next one resumes the run."""

    root: Path
    name: str
    start: Path | None
    latent_channels: int
    downscale: int
    samples: int
    minutes: float
    batch: int
    rate: float
    seed: int


def train_autoencoder(plan: AutoencoderPlan) -> None:
    """Run one session; writes the checkpoint, a folder that diffusers loads, and a sheet of original and decoded pairs.

    256 pictures (an eighth of a small data set) are held back from training; the printed PSNR is measured on them.
    Raises `PocketError` when the data set, start folder, or checkpoint is not usable.
    """
    quiet_libraries()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dataset = load_dataset(plan.root)
    pool = compose_pool(dataset, dataset.rows, SIDE_PX, plan.seed)
    order = np.random.default_rng(plan.seed).permutation(len(pool.pictures))
    torch.manual_seed(plan.seed)
    kept = min(HELD_BACK, len(order) // 8)
    held_back, shown = pixels_of(pool.pictures[order[:kept]], device), order[kept:]
    module = (
        build_autoencoder(plan.latent_channels, plan.downscale)
        if plan.start is None
        else load_autoencoder(plan.start)
    )
    module.to(device).train().requires_grad_(True)
    average = copy.deepcopy(module).eval().requires_grad_(False)
    optimiser = torch.optim.AdamW(module.parameters(), lr=plan.rate, betas=(0.9, 0.99), weight_decay=0.0)
    folder = plan.root / "runs" / plan.name
    checkpoint = folder / "state.safetensors"
    run = run_id(start=plan.start, channels=plan.latent_channels, downscale=plan.downscale, seed=plan.seed)
    progress = load_checkpoint(checkpoint, module, average, [optimiser], run)
    started = last_save = time.monotonic()
    earlier_s = progress.seconds

    def save() -> None:
        save_checkpoint(checkpoint, module, average, [optimiser], progress)
        psnr_db, deviation, pairs = measure(average, held_back)
        # The diffusion stage expects latents with a standard deviation of 1.
        average.register_to_config(scaling_factor=1 / deviation)
        save_folder(average, folder / "vae")
        save_sheet(pairs, 8, folder / f"sheet-{progress.samples:08d}.png")
        line = {
            "samples": progress.samples,
            "minutes": round(progress.seconds / 60, 1),
            "psnr_db": round(psnr_db, 2),
        }
        print(json.dumps(line), flush=True)

    while progress.samples < plan.samples and time.monotonic() - started < plan.minutes * 60:
        rng = np.random.default_rng((plan.seed, 0, progress.step))
        torch.manual_seed(int(rng.integers(2**62)))
        pixels = pixels_of(pool.pictures[np.sort(rng.choice(shown, plan.batch, replace=False))], device)
        for group in optimiser.param_groups:
            group["lr"] = plan.rate * rate_share(progress.step, progress.samples / plan.samples)
        loss = _loss(module, pixels)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimiser.step()
        progress.step += 1
        progress.samples += plan.batch
        progress.seconds = earlier_s + time.monotonic() - started
        follow_average(average, module, progress.step, LONGEST_AVERAGE)
        if time.monotonic() - last_save >= SAVE_EVERY_S:
            save()
            last_save = time.monotonic()
    save()


def _loss(module: Any, pixels: torch.Tensor) -> torch.Tensor:
    latents = module.encode(pixels).latents
    # Generated latents never match those of a picture exactly: noise makes the decoder robust to that.
    strength = LATENT_NOISE * torch.rand(len(latents), 1, 1, 1, device=pixels.device)
    decoded = module.decode(latents + torch.randn_like(latents) * strength).sample
    exact = F.l1_loss(decoded, pixels) + 0.5 * F.mse_loss(decoded, pixels)
    edges = F.l1_loss(gradients(decoded), gradients(pixels))
    mean, deviation = latents.mean((0, 2, 3)), latents.std((0, 2, 3))
    total: torch.Tensor = (
        exact + 0.5 * edges + 0.02 * (mean.square().mean() + (deviation - 1).square().mean())
    )
    return total


def gradients(pictures: torch.Tensor) -> torch.Tensor:
    """Return the differences between neighboring pixels, (n, differences), of pictures (n, 3, h, w)."""
    across = (pictures[..., 1:] - pictures[..., :-1]).flatten(1)
    down = (pictures[..., 1:, :] - pictures[..., :-1, :]).flatten(1)
    return torch.cat([across, down], 1)


def measure(module: Any, pixels: torch.Tensor) -> tuple[float, float, list[Any]]:
    """Return the PSNR in dB, the latents' standard deviation, and sixteen pairs of original and decoded pictures."""
    with torch.inference_mode():
        latents = module.encode(pixels).latents
        decoded = module.decode(latents).sample.clamp(-1, 1)
    error = ((decoded - pixels) / 2).square().mean((1, 2, 3))
    both = torch.stack([pixels[:16], decoded[:16]], 1).flatten(0, 1)
    pairs = ((both + 1) * 127.5 + 0.5).byte().cpu().permute(0, 2, 3, 1).numpy()
    return float((-10 * error.log10()).mean()), float(latents.std()), list(pairs)


def rate_share(step: int, done: float) -> float:
    """Return the share of the learning rate at a step, when `done` of the run (0 to 1) is complete."""
    return min(1.0, (step + 1) / 50) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, done))))


def pixels_of(pictures: np.ndarray[Any, np.dtype[np.uint8]], device: torch.device) -> torch.Tensor:
    """Return uint8 pictures (n, h, w, 3) as float32 (n, 3, h, w) in -1 to 1."""
    return torch.from_numpy(pictures).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1


def save_folder(module: Any, folder: Path) -> None:
    """Write the folder of an autoencoder, replacing any existing one."""
    fresh = folder.with_name(folder.name + ".partial")
    shutil.rmtree(fresh, ignore_errors=True)
    module.save_pretrained(fresh, safe_serialization=True)
    tidy_folder(fresh)
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)
