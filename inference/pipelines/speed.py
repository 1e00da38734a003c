"""Settings for speed and memory, chosen once at start from the environment, the device, and the weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from inference.errors import StartError
from inference.pipelines.families import Family
from inference.pipelines.folder import WeightCounts

Switch = Literal["auto", "on", "off"]
DtypeName = Literal["float32", "bfloat16", "float16"]
Offload = Literal["none", "model", "sequential"]

GIB = 1024**3
BYTES_PER_NUMBER: dict[DtypeName, int] = {"float32": 4, "bfloat16": 2, "float16": 2}
# Memory of a pass besides the weights, at the native size: activations and the allocator's overhead.
WORKING_BYTES = 3 * GIB
# Pictures up to this area are decoded together, larger ones one by one: decoding at full size needs more memory than
# all the steps before it.
DECODE_TOGETHER_PX = 1024 * 1024
# Larger pictures are decoded in tiles on devices with little memory.
TILE_FROM_PX = 2 * 1024 * 1024
TILE_BELOW_BYTES = 24 * GIB


@dataclass(frozen=True)
class SpeedWishes:
    """What the environment asks for; `choose_speed` decides about `auto` and None. `step_cache` 0 is off."""

    dtype: DtypeName | Literal["auto"] = "auto"
    offload: Offload | Literal["auto"] = "auto"
    compile: Switch = "auto"
    compile_cache_dir: Path | None = None
    fuse_qkv: Switch = "auto"
    channels_last: Switch = "auto"
    step_cache: float = 0.0
    vae_tiling: Switch = "auto"
    vae_slicing: Switch = "auto"
    prompt_cache_bytes: int = 64 * 1024 * 1024
    max_batch: int | None = None


@dataclass(frozen=True)
class Device:
    """The device of the model; on a CPU the bytes are the machine's."""

    kind: Literal["cpu", "cuda"]
    name: str
    total_bytes: int
    free_bytes: int
    has_bfloat16: bool


@dataclass(frozen=True)
class Speed:
    """The effective settings. Up to `decode_px` pixels are decoded at once; pictures above `tile_from_px` by tiles
    (None: never).
    """

    dtype: DtypeName
    offload: Offload
    compile: bool
    compile_cache_dir: Path | None
    fuse_qkv: bool
    channels_last: bool
    step_cache: float
    tile_from_px: int | None
    decode_px: int
    prompt_cache_bytes: int
    max_batch: int


def choose_speed(
    wishes: SpeedWishes, device: Device, family: Family, weights: WeightCounts, *, has_loras: bool
) -> Speed:
    """Return the effective settings. Raises `StartError` for a wish that cannot be granted on this device.

    On a CPU everything is plain float32: compiling, channels_last, and fused projections gained nothing there. Half
    precision rounds differently at another batch size, by more than one level of 255, so with it requests are drawn
    together only if `max_batch` says so.
    """
    gpu = device.kind == "cuda"
    dtype = _dtype(wishes, device)
    offload = _offload(wishes, device, weights, BYTES_PER_NUMBER[dtype])
    if wishes.fuse_qkv == "on" and has_loras:
        raise StartError("INFERENCE_FUSE_QKV=on does not go with LoRAs: they change what would be fused.")
    if wishes.step_cache and family.pipeline_class != "FluxPipeline":
        raise StartError(
            f"INFERENCE_STEP_CACHE is not known for {family.pipeline_class}: only for FluxPipeline. Leave it out."
        )
    max_batch = wishes.max_batch or (8 if dtype == "float32" else 1)
    low_memory = device.total_bytes < TILE_BELOW_BYTES
    return Speed(
        dtype=dtype,
        offload=offload,
        # Only with a cache directory, so that the cost is paid once.
        compile=_is_on(
            wishes.compile,
            gpu and wishes.compile_cache_dir is not None and offload == "none" and not has_loras,
        ),
        compile_cache_dir=wishes.compile_cache_dir,
        fuse_qkv=_is_on(wishes.fuse_qkv, gpu and offload == "none" and not has_loras),
        channels_last=_is_on(wishes.channels_last, gpu and family.denoiser == "unet"),
        step_cache=wishes.step_cache,
        tile_from_px={"on": 0, "off": None, "auto": TILE_FROM_PX if low_memory else None}[wishes.vae_tiling],
        decode_px={"on": 1, "off": 2**62, "auto": DECODE_TOGETHER_PX}[wishes.vae_slicing],
        prompt_cache_bytes=wishes.prompt_cache_bytes,
        # Skipping depends on the average over the batch.
        max_batch=1 if wishes.step_cache else max_batch,
    )


def _is_on(wish: Switch, by_default: bool) -> bool:
    return by_default if wish == "auto" else wish == "on"


def _dtype(wishes: SpeedWishes, device: Device) -> DtypeName:
    if wishes.dtype == "auto":
        if device.kind == "cpu":
            return "float32"
        return "bfloat16" if device.has_bfloat16 else "float16"
    if wishes.dtype == "float16" and device.kind == "cpu":
        raise StartError("INFERENCE_DTYPE=float16 needs a GPU; a CPU draws in float32 or bfloat16.")
    return wishes.dtype


def _offload(wishes: SpeedWishes, device: Device, weights: WeightCounts, number_bytes: int) -> Offload:
    if device.kind == "cpu":
        if wishes.offload not in ("auto", "none"):
            raise StartError(f"INFERENCE_OFFLOAD={wishes.offload} needs a GPU to take the weights from.")
        return "none"
    if wishes.offload != "auto":
        return wishes.offload
    room_bytes = device.free_bytes - WORKING_BYTES
    if weights.all * number_bytes <= room_bytes:
        return "none"
    # One part or one layer at a time on the GPU: slower, but it fits.
    return "model" if weights.largest_part * number_bytes <= room_bytes else "sequential"
