"""The parts of a pocket pipeline: building, loading, drawing with, and saving them."""

from __future__ import annotations

import copy
import json
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from diffusers import AutoencoderTiny, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer

from inference.pocket.errors import PocketError

LARGEST_BYTES = 40_000_000
PATH_KEYS = frozenset({"_name_or_path", "name_or_path"})
READABLE = stat.S_IRUSR | stat.S_IWUSR | stat.S_IRGRP | stat.S_IROTH


@dataclass
class Parts:
    """The four parts of a pipeline; float32 while training."""

    autoencoder: Any
    text: Any
    unet: Any
    tokenizer: Any

    def trained(self) -> torch.nn.ModuleDict:
        """The parts that the diffusion stage trains, as one module."""
        return torch.nn.ModuleDict({"unet": self.unet, "text": self.text})


def quiet_libraries() -> None:
    """Keep the libraries' messages about missing optional packages out of the commands' output."""
    diffusers.utils.logging.set_verbosity_error()
    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()


def build_scheduler() -> Any:
    """Return the noise schedule of pocket's training: cosine, 1,000 steps, v-prediction, trailing spacing."""
    return DDIMScheduler(
        num_train_timesteps=1000,
        beta_schedule="squaredcos_cap_v2",
        prediction_type="v_prediction",
        timestep_spacing="trailing",
        clip_sample=False,
        set_alpha_to_one=True,
        steps_offset=1,
    )


def build_autoencoder(latent_channels: int, downscale: int, width: int = 48) -> Any:
    """Return an untrained autoencoder from (3, s, s) to (latent_channels, s/downscale, s/downscale)."""
    if downscale not in (4, 8):
        raise PocketError(f"the autoencoder shrinks by 4 or 8, not by {downscale}.")
    levels = {4: 3, 8: 4}[downscale]
    return AutoencoderTiny(
        latent_channels=latent_channels,
        encoder_block_out_channels=(width,) * levels,
        decoder_block_out_channels=(width,) * levels,
        # The widest grids cost the most: with a factor of 8, the last upsampling is a linear sub-pixel layer.
        num_encoder_blocks={4: (0, 2, 2), 8: (0, 0, 2, 2)}[downscale],
        num_decoder_blocks={4: (2, 2, 1), 8: (2, 2, 2, 0)}[downscale],
    )


def build_unet(latent_channels: int, latent_side: int, widths: tuple[int, ...], text_width: int) -> Any:
    """Return an untrained UNet with one level per width; with three or more, the widest grid has no attention."""
    levels = len(widths)
    attending = 2 if levels == 2 else levels - 1
    return UNet2DConditionModel(
        sample_size=latent_side,
        in_channels=latent_channels,
        out_channels=latent_channels,
        block_out_channels=widths,
        layers_per_block=1,
        down_block_types=["DownBlock2D"] * (levels - attending) + ["CrossAttnDownBlock2D"] * attending,
        up_block_types=["CrossAttnUpBlock2D"] * attending + ["UpBlock2D"] * (levels - attending),
        mid_block_type="UNetMidBlock2DCrossAttn",
        cross_attention_dim=text_width,
        # Despite its name, this argument is the number of heads in this UNet.
        attention_head_dim=4,
        norm_num_groups=16,
    )


def load_parts(folder: Path) -> Parts:
    """Return the parts of a pipeline folder in float32. Raises `PocketError` when it is not one of pocket's."""
    quiet_libraries()
    if not (folder / "model_index.json").exists():
        raise PocketError(f"{folder} is not a pipeline folder: it has no model_index.json.")
    try:
        return Parts(
            autoencoder=load_autoencoder(folder / "vae"),
            text=CLIPTextModel.from_pretrained(folder / "text_encoder", dtype=torch.float32),
            unet=UNet2DConditionModel.from_pretrained(
                folder / "unet", use_safetensors=True, low_cpu_mem_usage=False
            ).float(),
            tokenizer=CLIPTokenizer.from_pretrained(folder / "tokenizer"),
        )
    except (OSError, ValueError, RuntimeError) as exc:
        raise PocketError(f"{folder}: its parts do not load: {exc}") from exc


def load_autoencoder(folder: Path) -> Any:
    """Return an autoencoder in float32 with frozen weights."""
    autoencoder = AutoencoderTiny.from_pretrained(folder, use_safetensors=True, low_cpu_mem_usage=False)
    return autoencoder.float().eval().requires_grad_(False)


def as_pipeline(parts: Parts) -> Any:
    """Return a stock pipeline that shares the parts' weights."""
    pipe = StableDiffusionPipeline(
        vae=parts.autoencoder,
        text_encoder=parts.text,
        tokenizer=parts.tokenizer,
        unet=parts.unet,
        scheduler=build_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def open_pipeline(folder: Path) -> Any:
    """Return the stock pipeline of a folder in float32, loaded as any diffusers program would load it."""
    quiet_libraries()
    pipe = StableDiffusionPipeline.from_pretrained(
        folder, dtype=torch.float32, use_safetensors=True, local_files_only=True, low_cpu_mem_usage=False
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def save_pipeline(parts: Parts, folder: Path) -> None:
    """Write the parts as a stock pipeline folder in float16, replacing an existing one atomically."""
    fresh = folder.with_name(folder.name + ".partial")
    shutil.rmtree(fresh, ignore_errors=True)
    # Copies, because converting the parts in place would end their training.
    half = Parts(
        autoencoder=copy.deepcopy(parts.autoencoder).half(),
        text=copy.deepcopy(parts.text).half(),
        unet=copy.deepcopy(parts.unet).half(),
        tokenizer=parts.tokenizer,
    )
    as_pipeline(half).save_pretrained(fresh, safe_serialization=True)
    tidy_folder(fresh)
    size_bytes = folder_bytes(fresh)
    if size_bytes > LARGEST_BYTES:
        raise PocketError(f"{fresh} has {size_bytes:,} bytes; at most {LARGEST_BYTES:,} may be shipped.")
    old = folder.with_name(folder.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    fresh.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def tidy_folder(folder: Path) -> None:
    """Prepare saved files for shipping: readable by everyone, and without local paths."""
    for file in sorted(folder.rglob("*.json")):
        config = json.loads(file.read_text(encoding="utf-8"))
        if isinstance(config, dict) and config.keys() & PATH_KEYS:
            kept = {key: value for key, value in config.items() if key not in PATH_KEYS}
            file.write_text(json.dumps(kept, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    for file in folder.rglob("*"):
        # safetensors writes files that only the owner can read.
        if file.is_file():
            file.chmod(READABLE)


def folder_bytes(folder: Path) -> int:
    """Return the size of all files in a folder, in bytes."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
