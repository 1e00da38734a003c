"""Applies `Speed` to a loaded pipeline, and detects the device."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from inference.contract import Task
from inference.errors import StartError
from inference.pipelines.families import Family
from inference.pipelines.speed import Device, Speed

# SD3's transformer does not list its repeated blocks.
REPEATED_BLOCKS = ("JointTransformerBlock",)


def find_device() -> Device:
    """Return the first GPU, or this machine's CPU."""
    if torch.cuda.is_available():
        free_bytes, total_bytes = torch.cuda.mem_get_info()
        return Device(
            kind="cuda",
            name=torch.cuda.get_device_name(),
            total_bytes=total_bytes,
            free_bytes=free_bytes,
            has_bfloat16=torch.cuda.is_bf16_supported(including_emulation=False),
        )
    page_bytes = os.sysconf("SC_PAGE_SIZE")
    return Device(
        kind="cpu",
        name="cpu",
        total_bytes=page_bytes * os.sysconf("SC_PHYS_PAGES"),
        free_bytes=page_bytes * os.sysconf("SC_AVPHYS_PAGES"),
        has_bfloat16=True,
    )


def tune(pipe: Any, speed: Speed, family: Family, device: Device) -> None:
    """Change the parts of `pipe` in place; all diffusers classes already use torch's fused attention (SDPA)."""
    denoiser = getattr(pipe, family.denoiser)
    if speed.channels_last:
        denoiser.to(memory_format=torch.channels_last)
        pipe.vae.to(memory_format=torch.channels_last)
    if speed.fuse_qkv:
        denoiser.fuse_qkv_projections()
    if speed.step_cache:
        from diffusers import FirstBlockCacheConfig

        denoiser.enable_cache(FirstBlockCacheConfig(threshold=speed.step_cache))
    place(pipe, speed, device)
    if speed.compile:
        _compile_blocks(denoiser, speed)


def place(pipe: Any, speed: Speed, device: Device) -> None:
    """Move the pipeline to its device; with offloading, parts move to the GPU when they are needed."""
    if speed.offload == "model":
        pipe.enable_model_cpu_offload()
    elif speed.offload == "sequential":
        pipe.enable_sequential_cpu_offload()
    else:
        pipe.to(device.kind)


def forget_steps(denoiser: Any, speed: Speed) -> None:
    """Clear what the step cache kept of a request that was stopped midway."""
    if speed.step_cache:
        denoiser._reset_stateful_cache()


def step_cache_context(denoiser: Any, speed: Speed, task: Task) -> AbstractContextManager[Any]:
    """Return the context that the step cache needs; the stock text-to-image pipeline has its own, its siblings do
    not.
    """
    if speed.step_cache and task != "text_to_image":
        context: AbstractContextManager[Any] = denoiser.cache_context("cond")
        return context
    return nullcontext()


def _compile_blocks(denoiser: Any, speed: Speed) -> None:
    """Compile each kind of block once instead of the whole denoiser: a fraction of the time, most of the gain."""
    if speed.compile_cache_dir is not None:
        try:
            speed.compile_cache_dir.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise StartError(
                f"INFERENCE_COMPILE_CACHE_DIR={speed.compile_cache_dir}: {exc.strerror}."
            ) from exc
        # torch reads it at the first compilation.
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(speed.compile_cache_dir)
    names = getattr(denoiser, "_repeated_blocks", None) or REPEATED_BLOCKS
    blocks = [module for module in denoiser.modules() if type(module).__name__ in names]
    if not blocks:
        raise StartError(
            f"INFERENCE_COMPILE=on: {type(denoiser).__name__} has no repeated blocks to compile."
        )
    for block in blocks:
        block.compile(fullgraph=True)
