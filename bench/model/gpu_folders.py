"""SDXL- and FLUX-shaped folders with random weights; sizes are arguments, so that tests can use small ones."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextModelWithProjection, T5Config, T5EncoderModel, T5Tokenizer

from bench.model.folders import LETTERS, NOISE, autoencoder, letter_tokenizer, text_encoder, write_card

VAE_WIDTHS = (128, 256, 512, 512)
MAX_SIDE_PX = 2048


@dataclass(frozen=True)
class XlShape:
    """SDXL's numbers (Podell et al. 2023, table 1, and the published configuration)."""

    widths: tuple[int, int, int] = (320, 640, 1280)
    transformer_layers: tuple[int, int, int] = (1, 2, 10)
    heads: tuple[int, int, int] = (5, 10, 20)
    text: tuple[int, int] = (768, 12)
    text_2: tuple[int, int] = (1280, 32)
    time_ids: int = 256
    vae: tuple[int, ...] = VAE_WIDTHS
    native_px: int = 1024


@dataclass(frozen=True)
class FluxShape:
    """FLUX.1's numbers (the published configuration), except that T5 has only two layers, as it is not measured."""

    blocks: int = 19
    single_blocks: int = 38
    heads: int = 24
    head: int = 128
    axes: tuple[int, int, int] = (16, 56, 56)
    text: tuple[int, int] = (768, 12)
    text_2: tuple[int, int] = (4096, 2)
    vae: tuple[int, ...] = VAE_WIDTHS
    native_px: int = 1024


def make_xl(folder: Path, shape: XlShape) -> Path:
    """Write an SDXL-shaped folder and return it; reuses an existing one of the same shape."""
    return _make(folder, shape, lambda: _build_xl(shape))


def make_flux(folder: Path, shape: FluxShape) -> Path:
    """Write a FLUX-shaped folder and return it; reuses an existing one of the same shape."""
    return _make(folder, shape, lambda: _build_flux(shape))


def _make(folder: Path, shape: XlShape | FluxShape, build: Callable[[], Any]) -> Path:
    stamp = folder / "shape.txt"
    if stamp.is_file() and stamp.read_text() == repr(shape):
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    torch.manual_seed(0)
    # A GPU generates billions of random numbers fast; half precision halves the files.
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        pipe = build()
    half = torch.bfloat16 if torch.cuda.is_available() else torch.float32
    pipe.to(dtype=half).to("cpu").save_pretrained(folder)
    write_card(folder, folder.name, 32, MAX_SIDE_PX)
    stamp.write_text(repr(shape))
    return folder


def xl_unet(shape: XlShape) -> UNet2DConditionModel:
    """Return the UNet, with random weights, on torch's default device."""
    return UNet2DConditionModel(
        sample_size=shape.native_px // 8,
        block_out_channels=shape.widths,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=shape.transformer_layers,
        attention_head_dim=shape.heads,
        cross_attention_dim=shape.text[0] + shape.text_2[0],
        addition_embed_type="text_time",
        addition_time_embed_dim=shape.time_ids,
        # Six numbers of sizes, and the pooled text.
        projection_class_embeddings_input_dim=6 * shape.time_ids + shape.text_2[0],
        use_linear_projection=True,
        norm_num_groups=min(32, shape.widths[0]),
    )


def flux_transformer(shape: FluxShape) -> FluxTransformer2DModel:
    """Return the transformer, with random weights, on torch's default device."""
    return FluxTransformer2DModel(
        num_layers=shape.blocks,
        num_single_layers=shape.single_blocks,
        num_attention_heads=shape.heads,
        attention_head_dim=shape.head,
        axes_dims_rope=shape.axes,
        joint_attention_dim=shape.text_2[0],
        pooled_projection_dim=shape.text[0],
        in_channels=64,
        guidance_embeds=True,
    )


def _build_xl(shape: XlShape) -> Any:
    return StableDiffusionXLPipeline(
        unet=xl_unet(shape),
        vae=autoencoder(shape.vae, 4, sample_size=shape.native_px),
        text_encoder=text_encoder(*shape.text),
        text_encoder_2=text_encoder(*shape.text_2, kind=CLIPTextModelWithProjection),
        tokenizer=letter_tokenizer(),
        tokenizer_2=letter_tokenizer(),
        scheduler=EulerDiscreteScheduler(**NOISE, steps_offset=1),
    )


def _build_flux(shape: FluxShape) -> Any:
    wide, layers = shape.text_2
    pieces = [
        ("<pad>", 0.0),
        ("</s>", 0.0),
        ("<unk>", 0.0),
        ("▁", -2.0),
        *((letter, -3.0) for letter in LETTERS),
    ]
    t5 = T5Config(
        vocab_size=len(pieces),
        d_model=wide,
        d_kv=64,
        d_ff=2 * wide,
        num_layers=layers,
        num_heads=max(1, wide // 64),
    )
    return FluxPipeline(
        transformer=flux_transformer(shape),
        vae=autoencoder(shape.vae, 16, use_quant_conv=False, use_post_quant_conv=False, shift_factor=0.1),
        text_encoder=text_encoder(*shape.text),
        text_encoder_2=T5EncoderModel(t5),
        tokenizer=letter_tokenizer(),
        tokenizer_2=T5Tokenizer(vocab=pieces, extra_ids=0),
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
    )
