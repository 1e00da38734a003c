"""Trains the UNet and the text encoder together, on frozen latents, by v-prediction."""

from __future__ import annotations

import copy
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from inference.pocket.captions import write_caption
from inference.pocket.checkpoint import Progress, load_checkpoint, run_id, save_checkpoint
from inference.pocket.dataset import load_dataset
from inference.pocket.half import HalfCopy, PlainAttention, half_type
from inference.pocket.optimisers import Optimisers, follow_average
from inference.pocket.parts import (
    Parts,
    as_pipeline,
    build_scheduler,
    build_unet,
    load_autoencoder,
    load_parts,
    save_pipeline,
)
from inference.pocket.prompts import SHEET_PROMPTS
from inference.pocket.ranks import run_ranks, share_gradients
from inference.pocket.selection import Selection, select
from inference.pocket.sheets import draw, save_sheet
from inference.pocket.variants import Pool, Variant, compose_pool
from inference.pocket.wording import find_wording

# A tenth of the captions are empty: classifier-free guidance steers away from the empty prompt.
EMPTY_CAPTIONS = 0.1
CAPTION_TRIES = 4
WARM_UP_STEPS = 100
AVERAGE_EVERY = 2
LONGEST_AVERAGE = 0.998
TIMESTEPS = 1000
# Noise levels are sampled more densely toward pure noise, where the content of the picture is decided: a quarter of
# them lie in the last tenth. Removing low noise is learned in minutes.
NOISE_BIAS = 0.35


@dataclass(frozen=True)
class DiffusionPlan:
    """One training run. It ends at `samples`. One session stops after `minutes`; the next one resumes the run.

    The learning rate is `rate` until the last `decay` share of the samples, over which it falls to almost zero.
    """

    root: Path
    name: str
    start: Path
    autoencoder: Path | None
    selection: str
    samples: int
    minutes: float
    batch: int
    rate: float
    decay: float
    seed: int
    ranks: int
    save_every_minutes: float

    @property
    def checkpoint(self) -> Path:
        """The file of the run's state."""
        return self.root / "runs" / self.name / "state.safetensors"

    @property
    def pipeline(self) -> Path:
        """The run's pipeline folder: the averaged weights, in float16."""
        return self.root / "runs" / self.name / "pipeline"

    def run_id(self) -> str:
        """Identify the settings that must not change when the run is resumed."""
        return run_id(
            start=self.start.resolve(), autoencoder=self.autoencoder, selection=self.selection, seed=self.seed
        )


def train_diffusion(plan: DiffusionPlan) -> None:
    """Run one session; writes the checkpoint, a pipeline folder, contact sheets, and `log.jsonl`.

    Raises `PocketError` when the data set, the start weights, or the checkpoint is not usable.
    """
    # Checked here, so that a missing file is reported once, before any process starts.
    select(load_dataset(plan.root), plan.selection)
    run_ranks(_sitting, (plan,), plan.ranks)


def _sitting(rank: int, ranks: int, plan: DiffusionPlan) -> None:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    run = _Run(plan, rank, ranks, device)
    started = last_report = last_save = time.monotonic()
    losses: list[float] = []
    earlier_s = run.progress.seconds
    while True:
        now = time.monotonic()
        over = run.progress.samples >= plan.samples or now - started >= plan.minutes * 60
        loss, stop = run.step(stop=over and rank == 0)
        if stop:
            break
        losses.append(loss)
        run.progress.seconds = earlier_s + now - started
        if rank == 0 and now - last_report >= 60:
            run.report(float(np.mean(losses)))
            losses, last_report = [], now
        if rank == 0 and now - last_save >= plan.save_every_minutes * 60:
            run.save()
            last_save = time.monotonic()
    if rank == 0:
        run.save()
        print(f"{run.progress.samples} of {plan.samples} samples; {plan.pipeline}", flush=True)


class _Run:
    """The state of one rank of a run."""

    def __init__(self, plan: DiffusionPlan, rank: int, ranks: int, device: torch.device) -> None:
        self.plan, self.rank, self.ranks, self.device = plan, rank, ranks, device
        dataset = load_dataset(plan.root)
        selection = select(dataset, plan.selection)
        torch.manual_seed(plan.seed)
        self.parts = _start_parts(plan)
        size_px = int(self.parts.unet.config.sample_size) * _downscale(self.parts.autoencoder)
        self.pool = compose_pool(dataset, selection.rows, size_px, plan.seed, steady=True)
        self.latents = _encode(self.parts.autoencoder.to(device), self.pool, device)
        self.chances = _chances(self.pool, selection)
        self.wording = find_wording(selection.rows)
        self.module = self.parts.trained().to(device).train()
        self.average = copy.deepcopy(self.module).eval().requires_grad_(False)
        self.parameters = list(self.module.parameters())
        self.optimisers = Optimisers(self.parts.unet, self.parts.text, plan.rate)
        self.progress: Progress = load_checkpoint(
            plan.checkpoint, self.module, self.average, self.optimisers.all, plan.run_id()
        )
        self.half = HalfCopy(self.module, half_type(device))
        self.half_unet, self.half_text = self.half.working["unet"], self.half.working["text"]
        if device.type == "cpu":
            self.half_unet.set_attn_processor(PlainAttention())
        self.alphas = build_scheduler().alphas_cumprod.to(device)
        if rank == 0:
            concepts = len({row.concept for row in selection.rows})
            print(
                f"{concepts} things, {len(selection.rows)} drawings, {len(self.latents)} pictures; from sample "
                f"{self.progress.samples} to {plan.samples}, {ranks} ranks on {device}",
                flush=True,
            )

    def step(self, *, stop: bool) -> tuple[float, bool]:
        """Train on one batch per rank. Returns the loss and whether the run should stop."""
        # Depends on seed, rank, and step only, so that a resumed run equals an uninterrupted one.
        rng = np.random.default_rng((self.plan.seed, self.rank, self.progress.step))
        noise_source = torch.Generator().manual_seed(int(rng.integers(2**62)))
        latents, ids = self._batch(rng)
        noise = torch.randn(latents.shape, generator=noise_source).to(self.device)
        # Spread evenly over the noise levels, from a random start: less variance than independent draws.
        spread = (np.arange(len(latents)) / len(latents) + rng.random()) % 1
        times = torch.from_numpy((spread**NOISE_BIAS * TIMESTEPS).astype(np.int64)).to(self.device)
        kept = self.alphas[times][:, None, None, None]
        noisy = kept.sqrt() * latents + (1 - kept).sqrt() * noise
        velocity = kept.sqrt() * noise - (1 - kept).sqrt() * latents
        words = self.half_text(ids)[0]
        found = self.half_unet(noisy.to(words.dtype), times, encoder_hidden_states=words).sample
        loss = F.mse_loss(found.float(), velocity)
        loss.backward()  # type: ignore[no-untyped-call]
        self.half.hand_over_gradients()
        if share_gradients(self.parameters, self.ranks, stop=stop):
            return 0.0, True
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimisers.step(self._rate_share())
        self.half.follow()
        self.progress.step += 1
        self.progress.samples += len(latents) * self.ranks
        if self.rank == 0 and self.progress.step % AVERAGE_EVERY == 0:
            follow_average(self.average, self.module, self.progress.step, LONGEST_AVERAGE)
        return float(loss.detach()), False

    def report(self, loss: float) -> None:
        """Print the run's progress and add it to its log."""
        line = json.dumps(
            {
                "step": self.progress.step,
                "samples": self.progress.samples,
                "minutes": round(self.progress.seconds / 60, 1),
                "loss": round(loss, 4),
                "rate": round(self.optimisers.all[0].param_groups[0]["lr"], 7),
            }
        )
        print(line, flush=True)
        self.plan.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        with (self.plan.checkpoint.parent / "log.jsonl").open("a", encoding="utf-8") as log:
            log.write(line + "\n")

    def save(self) -> None:
        """Write checkpoint, pipeline folder and contact sheet."""
        save_checkpoint(self.plan.checkpoint, self.module, self.average, self.optimisers.all, self.progress)
        averaged = Parts(
            self.parts.autoencoder, self.average["text"], self.average["unet"], self.parts.tokenizer
        )
        save_pipeline(averaged, self.plan.pipeline)
        pictures = draw(as_pipeline(averaged), SHEET_PROMPTS)
        save_sheet(pictures, 8, self.plan.checkpoint.parent / f"sheet-{self.progress.samples:08d}.png")

    def _batch(self, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        chosen = rng.choice(len(self.latents), self.plan.batch, p=self.chances)
        captions = [self._caption(self.pool.variants[int(index)], rng) for index in chosen]
        tokens = self.parts.tokenizer(
            captions,
            padding="max_length",
            truncation=True,
            max_length=self.parts.text.config.max_position_embeddings,
            return_tensors="pt",
        )
        return self.latents[torch.from_numpy(chosen).to(self.device)], tokens.input_ids.to(self.device)

    def _caption(self, variant: Variant, rng: np.random.Generator) -> str:
        if rng.random() < EMPTY_CAPTIONS:
            return ""
        most = int(self.parts.text.config.max_position_embeddings)
        caption = variant.row.name
        for _ in range(CAPTION_TRIES):
            caption = write_caption(variant.row, variant.background, variant.colour, self.wording, rng)
            # Truncation would remove the background, which comes last, from the caption but not from the picture.
            if len(self.parts.tokenizer(caption).input_ids) <= most:
                break
        return caption

    def _rate_share(self) -> float:
        warm = min(1.0, (self.progress.step + 1) / WARM_UP_STEPS)
        left = max(0.0, 1 - self.progress.samples / self.plan.samples)
        return warm * min(1.0, 0.02 + left / self.plan.decay)


def _start_parts(plan: DiffusionPlan) -> Parts:
    parts = load_parts(plan.start)
    if plan.autoencoder is None:
        return parts
    # Another autoencoder has other latents, so the UNet starts untrained; the text encoder is kept.
    parts.autoencoder = load_autoencoder(plan.autoencoder)
    channels = int(parts.autoencoder.config.latent_channels)
    downscale = _downscale(parts.autoencoder)
    widths = (96, 144, 192) if downscale == 4 else (128, 224)
    parts.unet = build_unet(channels, 64 // downscale, widths, int(parts.text.config.hidden_size))
    return parts


def _downscale(autoencoder: Any) -> int:
    return int(2 ** (len(autoencoder.config.encoder_block_out_channels) - 1))


def _encode(autoencoder: Any, pool: Pool, device: torch.device) -> torch.Tensor:
    scale = float(autoencoder.config.scaling_factor)
    batches = []
    with torch.no_grad():
        for start in range(0, len(pool.pictures), 128):
            pixels = torch.from_numpy(pool.pictures[start : start + 128]).to(device)
            batches.append(autoencoder.encode(pixels.permute(0, 3, 1, 2).float() / 127.5 - 1).latents)
    return torch.cat(batches) * scale


def _chances(pool: Pool, selection: Selection) -> np.ndarray[Any, np.dtype[np.float64]]:
    weights = np.array([v.weight * selection.emphasis.get(v.row.name, 1.0) for v in pool.variants])
    return np.asarray(weights / weights.sum(), np.float64)
