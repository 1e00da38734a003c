"""Creates folders of every family with random weights, in a second: about a hundred thousand parameters each."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionPipeline,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    T5Config,
    T5EncoderModel,
    T5Tokenizer,
)

LETTERS = "abcdefghijklmnopqrstuvwxyz"
NOISE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
CLIP_TOKENS = 77
HIDDEN = 32


def clip_tokenizer() -> CLIPTokenizer:
    """Return a tokenizer of single letters."""
    tokens = ["<|startoftext|>", "<|endoftext|>", *LETTERS, *(f"{letter}</w>" for letter in LETTERS)]
    return CLIPTokenizer(
        vocab={token: i for i, token in enumerate(tokens)}, merges=[], model_max_length=CLIP_TOKENS
    )


def clip_encoder(kind: type[Any] = CLIPTextModel) -> Any:
    """Return a text encoder for those tokens."""
    return kind(
        CLIPTextConfig(
            vocab_size=2 + 2 * len(LETTERS),
            hidden_size=HIDDEN,
            intermediate_size=37,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=CLIP_TOKENS,
            projection_dim=HIDDEN,
            bos_token_id=0,
            eos_token_id=1,
            pad_token_id=1,
        )
    )


def t5_tokenizer() -> T5Tokenizer:
    """Return a T5 tokenizer of single letters."""
    vocab = [
        ("<pad>", 0.0),
        ("</s>", 0.0),
        ("<unk>", 0.0),
        ("▁", -2.0),
        *((letter, -3.0) for letter in LETTERS),
    ]
    return T5Tokenizer(vocab=vocab, extra_ids=0)


def t5_encoder() -> T5EncoderModel:
    """Return a T5 encoder for those tokens."""
    return T5EncoderModel(
        T5Config(
            vocab_size=4 + len(LETTERS),
            d_model=HIDDEN,
            d_kv=8,
            d_ff=37,
            num_layers=2,
            num_heads=2,
        )
    )


def autoencoder(channels: int, **config: Any) -> AutoencoderKL:
    """Return an autoencoder with 8 pixels per latent, like all of these families."""
    return AutoencoderKL(
        block_out_channels=(8, 8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=channels,
        layers_per_block=1,
        norm_num_groups=4,
        sample_size=64,
        **config,
    )


def unet(**config: Any) -> UNet2DConditionModel:
    """Return a UNet with a native picture of 64 px."""
    return UNet2DConditionModel(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        block_out_channels=(16, 32),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=4,
        norm_num_groups=8,
        **{"cross_attention_dim": HIDDEN, **config},
    )


def xl_unet(time_ids: int = 6, encoders: int = 2) -> UNet2DConditionModel:
    """Return a UNet with sizes and a pooled text as additional inputs, like SDXL's."""
    return unet(
        cross_attention_dim=HIDDEN * encoders,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=HIDDEN + time_ids * 8,
        transformer_layers_per_block=(1, 2),
        use_linear_projection=True,
    )


def _stable_diffusion(scheduler: Any) -> Any:
    return StableDiffusionPipeline(
        vae=autoencoder(4),
        text_encoder=clip_encoder(),
        tokenizer=clip_tokenizer(),
        unet=unet(),
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def _stable_diffusion_xl(scheduler: Any) -> Any:
    return StableDiffusionXLPipeline(
        vae=autoencoder(4, force_upcast=True),
        text_encoder=clip_encoder(),
        text_encoder_2=clip_encoder(CLIPTextModelWithProjection),
        tokenizer=clip_tokenizer(),
        tokenizer_2=clip_tokenizer(),
        unet=xl_unet(),
        scheduler=scheduler,
    )


def _stable_diffusion_3(with_t5: bool) -> Any:
    return StableDiffusion3Pipeline(
        transformer=SD3Transformer2DModel(
            sample_size=8,
            patch_size=2,
            in_channels=16,
            num_layers=2,
            attention_head_dim=8,
            num_attention_heads=4,
            joint_attention_dim=4 * HIDDEN,
            caption_projection_dim=HIDDEN,
            pooled_projection_dim=2 * HIDDEN,
            out_channels=16,
            pos_embed_max_size=16,
            dual_attention_layers=(0,),
            qk_norm="rms_norm",
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=autoencoder(
            16, shift_factor=0.06, scaling_factor=1.5, use_quant_conv=False, use_post_quant_conv=False
        ),
        text_encoder=clip_encoder(CLIPTextModelWithProjection),
        tokenizer=clip_tokenizer(),
        text_encoder_2=clip_encoder(CLIPTextModelWithProjection),
        tokenizer_2=clip_tokenizer(),
        text_encoder_3=wide_t5() if with_t5 else None,
        tokenizer_3=t5_tokenizer() if with_t5 else None,
    )


def wide_t5() -> T5EncoderModel:
    """Return a T5 encoder of the width that SD3 needs."""
    return T5EncoderModel(
        T5Config(vocab_size=4 + len(LETTERS), d_model=4 * HIDDEN, d_kv=8, d_ff=37, num_layers=1, num_heads=2)
    )


def _flux(guidance_embeds: bool) -> Any:
    return FluxPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=guidance_embeds),
        vae=autoencoder(
            16, shift_factor=0.1, scaling_factor=0.4, use_quant_conv=False, use_post_quant_conv=False
        ),
        text_encoder=clip_encoder(),
        tokenizer=clip_tokenizer(),
        text_encoder_2=t5_encoder(),
        tokenizer_2=t5_tokenizer(),
        transformer=FluxTransformer2DModel(
            patch_size=1,
            in_channels=64,
            num_layers=2,
            num_single_layers=2,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=HIDDEN,
            pooled_projection_dim=HIDDEN,
            guidance_embeds=guidance_embeds,
            axes_dims_rope=(4, 4, 8),
        ),
    )


MAKERS: dict[str, Callable[[], Any]] = {
    "sd15": lambda: _stable_diffusion(DDIMScheduler(**NOISE, steps_offset=1, clip_sample=False)),
    "sd-turbo": lambda: _stable_diffusion(
        EulerDiscreteScheduler(**NOISE, steps_offset=1, timestep_spacing="trailing")
    ),
    "sdxl": lambda: _stable_diffusion_xl(EulerDiscreteScheduler(**NOISE, steps_offset=1)),
    "sdxl-turbo": lambda: _stable_diffusion_xl(
        EulerAncestralDiscreteScheduler(**NOISE, timestep_spacing="trailing")
    ),
    "sd3": lambda: _stable_diffusion_3(with_t5=True),
    "sd3-no-t5": lambda: _stable_diffusion_3(with_t5=False),
    "flux-dev": lambda: _flux(guidance_embeds=True),
    "flux-schnell": lambda: _flux(guidance_embeds=False),
}


def make_family(name: str, folder: Path) -> Path:
    """Write the family's folder and return it; the weights are the same every time."""
    torch.manual_seed(0)
    MAKERS[name]().save_pretrained(folder)
    card = {"name": name, "min_side_px": 32, "max_side_px": 128, "max_area_px": 128 * 128}
    (folder / "model_card.json").write_text(json.dumps(card))
    return folder


def add_refiner(folder: Path) -> Path:
    """Add a refiner to an SDXL folder: its own UNet, with the base's other parts."""
    torch.manual_seed(1)
    base = StableDiffusionXLPipeline.from_pretrained(folder, local_files_only=True)
    refiner = StableDiffusionXLImg2ImgPipeline(
        vae=base.vae,
        text_encoder=None,
        text_encoder_2=base.text_encoder_2,
        tokenizer=None,
        tokenizer_2=base.tokenizer_2,
        unet=xl_unet(time_ids=5, encoders=1),
        scheduler=base.scheduler,
        requires_aesthetics_score=True,
    )
    refiner.save_pretrained(folder / "refiner")
    index_file = folder / "refiner" / "model_index.json"
    index = json.loads(index_file.read_text())
    for shared in ("vae", "text_encoder_2", "tokenizer_2"):
        del index[shared]
        for file in sorted((folder / "refiner" / shared).iterdir()):
            file.unlink()
        (folder / "refiner" / shared).rmdir()
    index_file.write_text(json.dumps(index))
    return folder
