"""A folder with random weights, large enough to measure: Stable Diffusion 1.5's levels at a fifth of the width."""

from __future__ import annotations

import hashlib
import json
import shutil
import string
import sys
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

NATIVE_PX = 128
TOKENS = 77
LETTERS = string.ascii_lowercase
SPECIAL = ("<|startoftext|>", "<|endoftext|>")
NOISE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
STAMP = "recipe.sha256"


def letter_tokenizer() -> CLIPTokenizer:
    """Return a CLIP tokenizer that knows single letters."""
    known = [*SPECIAL, *LETTERS, *(f"{letter}</w>" for letter in LETTERS)]
    vocab = dict(zip(known, range(len(known)), strict=True))
    return CLIPTokenizer(vocab=vocab, merges=[], model_max_length=TOKENS)


def text_encoder(hidden: int, layers: int, kind: type[Any] = CLIPTextModel) -> Any:
    """Return a CLIP text encoder for those letters, `hidden` wide, with heads of 64."""
    shape = {"hidden_size": hidden, "intermediate_size": 4 * hidden, "projection_dim": hidden}
    tokens = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1, "vocab_size": 2 + 2 * len(LETTERS)}
    heads = max(1, hidden // 64)
    return kind(
        CLIPTextConfig(
            **shape,
            **tokens,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            max_position_embeddings=TOKENS,
        )
    )


def autoencoder(widths: tuple[int, ...], channels: int, **config: Any) -> AutoencoderKL:
    """Return an autoencoder with 8 pixels per latent; `widths` are those of its four levels."""
    levels = len(widths)
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=widths,
        layers_per_block=1,
        latent_channels=channels,
        norm_num_groups=min(32, widths[0]),
        **config,
    )


def build_stable_diffusion() -> Any:
    """Return the pipeline; the weights are the same every time."""
    torch.manual_seed(0)
    down = ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",)
    up = ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3
    unet = UNet2DConditionModel(
        sample_size=NATIVE_PX // 8,
        block_out_channels=(64, 128, 256, 256),
        down_block_types=down,
        up_block_types=up,
        layers_per_block=1,
        cross_attention_dim=192,
        attention_head_dim=8,
    )
    return StableDiffusionPipeline(
        unet=unet,
        vae=autoencoder((32, 64, 128, 128), 4),
        text_encoder=text_encoder(192, 6),
        tokenizer=letter_tokenizer(),
        scheduler=DDIMScheduler(**NOISE, steps_offset=1, clip_sample=False, set_alpha_to_one=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def write_card(folder: Path, name: str, min_side_px: int, max_side_px: int) -> None:
    """Write the sizes that the server accepts."""
    card = {
        "name": name,
        "min_side_px": min_side_px,
        "max_side_px": max_side_px,
        "max_area_px": max_side_px**2,
    }
    (folder / "model_card.json").write_text(json.dumps(card))


def recipe() -> str:
    """Return the hash of this file, so that changed code creates a new folder."""
    return hashlib.sha256(Path(__file__).read_bytes()).hexdigest()


def make_bench_model(folder: Path) -> None:
    """Write the folder, unless this exact code has already written it."""
    stamp = folder / STAMP
    if stamp.is_file() and stamp.read_text() == recipe():
        return
    shutil.rmtree(folder, ignore_errors=True)
    build_stable_diffusion().save_pretrained(folder)
    write_card(folder, "bench", NATIVE_PX // 2, 4 * NATIVE_PX)
    # Written last: a folder without it is incomplete.
    stamp.write_text(recipe())


if __name__ == "__main__":
    make_bench_model(Path(sys.argv[1]))
