"""The families this server knows, as data: the required parts of a folder and the limits of the family. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from inference.contract import SchedulerName

CLIP_TOKENIZERS = frozenset({"CLIPTokenizer", "CLIPTokenizerFast"})
T5_TOKENIZERS = frozenset({"T5Tokenizer", "T5TokenizerFast"})
# TAESD-like autoencoders stand in for the full one in all families.
AUTOENCODERS = frozenset({"AutoencoderKL", "AutoencoderTiny"})
DIFFUSION_SCHEDULERS: tuple[SchedulerName, ...] = (
    "ddim",
    "unipc",
    "dpmpp_2m",
    "euler",
    "euler_ancestral",
    "lcm",
)
# Flow matching uses straight paths from noise to picture, so the schedulers for noise prediction do not fit it.
FLOW_SCHEDULERS: tuple[SchedulerName, ...] = ("flow_euler",)


@dataclass(frozen=True)
class Family:
    """One family. `module` holds the code specific to it; `parts` maps each part to the classes it can have.

    `optional` parts can be absent or null. The stock inpainting pipeline takes a `denoiser` with `inpainting_channels`
    latent channels; a folder with another number does not inpaint. Sides must be multiples of `grid_px`.
    """

    pipeline_class: str
    module: str
    denoiser: Literal["unet", "transformer"]
    parts: Mapping[str, frozenset[str]]
    schedulers: tuple[SchedulerName, ...]
    inpainting_channels: int
    grid_px: int = 8
    optional: frozenset[str] = frozenset()


STABLE_DIFFUSION = Family(
    pipeline_class="StableDiffusionPipeline",
    module="inference.pipelines.stable_diffusion",
    denoiser="unet",
    parts={
        "tokenizer": CLIP_TOKENIZERS,
        "text_encoder": frozenset({"CLIPTextModel"}),
        "unet": frozenset({"UNet2DConditionModel"}),
        "vae": AUTOENCODERS,
    },
    schedulers=DIFFUSION_SCHEDULERS,
    inpainting_channels=4,
)

STABLE_DIFFUSION_XL = Family(
    pipeline_class="StableDiffusionXLPipeline",
    module="inference.pipelines.stable_diffusion_xl",
    denoiser="unet",
    parts={
        **STABLE_DIFFUSION.parts,
        "tokenizer_2": CLIP_TOKENIZERS,
        "text_encoder_2": frozenset({"CLIPTextModelWithProjection"}),
    },
    schedulers=DIFFUSION_SCHEDULERS,
    inpainting_channels=4,
)

STABLE_DIFFUSION_3 = Family(
    pipeline_class="StableDiffusion3Pipeline",
    module="inference.pipelines.stable_diffusion_3",
    denoiser="transformer",
    parts={
        "tokenizer": CLIP_TOKENIZERS,
        "text_encoder": frozenset({"CLIPTextModelWithProjection"}),
        "tokenizer_2": CLIP_TOKENIZERS,
        "text_encoder_2": frozenset({"CLIPTextModelWithProjection"}),
        "tokenizer_3": T5_TOKENIZERS,
        "text_encoder_3": frozenset({"T5EncoderModel"}),
        "transformer": frozenset({"SD3Transformer2DModel"}),
        "vae": AUTOENCODERS,
    },
    schedulers=FLOW_SCHEDULERS,
    inpainting_channels=16,
    grid_px=16,
    optional=frozenset({"tokenizer_3", "text_encoder_3"}),
)

FLUX = Family(
    pipeline_class="FluxPipeline",
    module="inference.pipelines.flux",
    denoiser="transformer",
    parts={
        "tokenizer": CLIP_TOKENIZERS,
        "text_encoder": frozenset({"CLIPTextModel"}),
        "tokenizer_2": T5_TOKENIZERS,
        "text_encoder_2": frozenset({"T5EncoderModel"}),
        "transformer": frozenset({"FluxTransformer2DModel"}),
        "vae": AUTOENCODERS,
    },
    schedulers=FLOW_SCHEDULERS,
    # 16 channels, packed 2 x 2.
    inpainting_channels=64,
    grid_px=16,
)

FAMILIES: dict[str, Family] = {
    family.pipeline_class: family
    for family in (STABLE_DIFFUSION, STABLE_DIFFUSION_XL, STABLE_DIFFUSION_3, FLUX)
}
REFINER_CLASS = "StableDiffusionXLImg2ImgPipeline"
# The base's parts are used where the refiner's folder leaves them out.
REFINER_SHARED = ("tokenizer_2", "text_encoder_2", "vae")
REFINER_PARTS: dict[str, frozenset[str]] = {
    name: STABLE_DIFFUSION_XL.parts[name] for name in (*REFINER_SHARED, "unet")
}
