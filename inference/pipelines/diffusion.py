"""Draws with stock diffusers pipelines: the only file that runs one."""

from __future__ import annotations

import gc
import importlib
import resource
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import asdict
from itertools import accumulate
from typing import Any

import diffusers
import numpy as np
import torch

from inference.contract import ModelReference, Payload, Task
from inference.errors import ModelError, OutOfMemory
from inference.logs import log
from inference.pictures import keep_masked
from inference.pipelines.adapters import Adapters
from inference.pipelines.families import REFINER_SHARED
from inference.pipelines.family import Drawing, Pixels, StepWatch
from inference.pipelines.folder import ModelFolder, Revision
from inference.pipelines.form import Embedding, Form
from inference.pipelines.found_model import FoundModel
from inference.pipelines.loading import load_pipeline, make_sibling, silence_libraries
from inference.pipelines.preview import StepTap, shrink_latents
from inference.pipelines.prompts import PromptCache
from inference.pipelines.schedulers import build_scheduler
from inference.pipelines.speed import Device, Speed
from inference.pipelines.stable_diffusion_xl import can_refine, refine
from inference.pipelines.tuning import forget_steps, place, step_cache_context, tune


class DiffusionModel:
    """One loaded model: its parts, shared by one stock pipeline per task. Everything belongs to one thread."""

    def __init__(
        self, found: FoundModel, revision: Revision, threads: int, speed: Speed, device: Device
    ) -> None:
        silence_libraries()
        torch.set_num_threads(threads)
        self.threads = threads
        self._family = found.family
        self._limits = found.limits
        self._form: Form = importlib.import_module(found.family.module).FORM
        self._device = device
        self.device: str = device.kind
        self.speed = speed
        self.max_batch = self.speed.max_batch
        self.pipe = load_pipeline(found.folder, self.speed.dtype)
        self._adapters = Adapters(self.pipe, found.loras)
        self._refiner = self._load_refiner(found.folder)
        tune(self.pipe, self.speed, found.family, self._device)
        self._pipes: dict[Task, Any] = {"text_to_image": self.pipe}
        # The folder's own scheduler; requests can replace it.
        self._scheduler = self.pipe.scheduler
        self._prompts = PromptCache(self.speed.prompt_cache_bytes)
        self.reference = ModelReference(name=found.folder.name, revision=revision.wait())
        self.versions = {"torch": torch.__version__, "diffusers": diffusers.__version__}
        log("info", "speed_chosen", **_describe(self.speed, self._device), loras=len(found.loras))

    def warm_up(self) -> None:
        """Draw the smallest job at the native size and discard it."""
        side_px = self._limits.native_px
        payload = Payload(
            prompt="warm up",
            width=side_px,
            height=side_px,
            num_inference_steps=2,
            guidance_scale=min(2.0, self._limits.max_guidance),
            scheduler=self._limits.schedulers[0],
            seed=0,
            num_images_per_prompt=1,
        )
        self.draw([payload], _Unwatched())

    def batch_key(self, payload: Payload) -> Hashable | None:
        """Return what all requests of a pass share: task, size, steps, strength, guidance, scheduler, and LoRAs."""
        if self.max_batch == 1:
            return None
        return (
            payload.task,
            payload.width,
            payload.height,
            payload.num_inference_steps,
            payload.strength,
            payload.guidance_scale,
            payload.scheduler,
            payload.loras,
        )

    def draw(self, payloads: Sequence[Payload], watch: StepWatch) -> list[Drawing | None]:
        """Return one drawing per payload; the same payloads give the same bytes on the same machine.

        In float32 a picture differs by at most 1 level of 255 from the one its payload gives alone, because sums are
        rounded differently at another batch size.
        """
        try:
            with torch.inference_mode():
                return self._draw(payloads, watch)
        except (MemoryError, torch.OutOfMemoryError) as exc:
            raise _too_big(payloads) from exc
        except RuntimeError as exc:
            # The CPU allocator has no exception class of its own.
            if "can't allocate memory" in str(exc) or "not enough memory" in str(exc):
                raise _too_big(payloads) from exc
            raise

    def free_memory(self) -> None:
        """Collect objects that exceptions and cycles still hold, and return cached blocks to the device."""
        self._prompts.clear()
        gc.collect()
        if self.device == "cuda":
            torch.cuda.empty_cache()

    def _draw(self, payloads: Sequence[Payload], watch: StepWatch) -> list[Drawing | None]:
        if self.device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        started = time.perf_counter()
        common = payloads[0]
        rows = _rows(payloads)
        by_row = [payload for payload in payloads for _ in range(payload.num_images_per_prompt)]
        pipe = self._pipe(common.task)
        self._adapters.mix(common.loras)
        arguments = self._texts(self.pipe, payloads)
        refiner_texts = self._refiner_texts(payloads)
        self._wait_for_device()
        encoded = time.perf_counter()
        pipe.scheduler = scheduler = build_scheduler(common.scheduler, self._scheduler.config)
        tap = StepTap(scheduler)
        unwanted: frozenset[int] = frozenset()

        def after_step(_pipe: Any, index: int, _timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            nonlocal unwanted
            # Their rows stay: multistep schedulers keep earlier outputs of all rows.
            unwanted = watch.on_step(index + 1, lambda i: self._preview(tap, rows[i].start, payloads[i]))
            return tensors

        # CPU generators give the same noise on every device; one per picture makes it independent of the batch.
        arguments["generator"] = [torch.Generator("cpu").manual_seed(s) for p in payloads for s in p.seeds()]
        arguments |= self._form.arguments(common, by_row)
        denoiser = getattr(pipe, self._family.denoiser)
        forget_steps(denoiser, self.speed)
        with step_cache_context(denoiser, self.speed, common.task):
            if refiner_texts is None:
                latents = self._form.draw_latents(pipe, arguments, after_step)
            else:
                self._refiner.scheduler = scheduler
                latents = refine(pipe, self._refiner, arguments, refiner_texts, after_step)
        latents = self._form.unpack(latents, pipe, common)
        self._wait_for_device()
        denoised = time.perf_counter()
        wanted = [row for i, span in enumerate(rows) if i not in unwanted for row in span]
        pictures = dict(zip(wanted, self._decode(latents, wanted, by_row), strict=True))
        decoded = time.perf_counter()
        return [
            None
            if i in unwanted
            else Drawing(
                pictures=[pictures[row] for row in span],
                encode_text_s=encoded - started,
                denoise_s=denoised - encoded,
                decode_s=decoded - denoised,
                peak_memory_bytes=self._peak_memory_bytes(),
            )
            for i, span in enumerate(rows)
        ]

    def _pipe(self, task: Task) -> Any:
        """Return the stock pipeline of a task, created on first use around the existing parts."""
        if task not in self._pipes:
            pipe = make_sibling(self.pipe, self._form.pipelines[task], self._scheduler)
            if self.speed.offload != "none":
                place(pipe, self.speed, self._device)
            self._pipes[task] = pipe
        return self._pipes[task]

    def _load_refiner(self, folder: ModelFolder) -> Any:
        if folder.refiner is None:
            return None
        shared = {name: getattr(self.pipe, name) for name in REFINER_SHARED}
        refiner = load_pipeline(folder.refiner, self.speed.dtype, shared)
        place(refiner, self.speed, self._device)
        return refiner

    def _texts(self, pipe: Any, payloads: Sequence[Payload], *, refining: bool = False) -> dict[str, Any]:
        """Return the embeddings of all prompts and negative prompts, with one row per picture."""
        form, tokens = self._form, self._limits.max_prompt_tokens
        # LoRAs may change the text encoders as well.
        mixed: Hashable = () if refining else payloads[0].loras
        before = self._prompts.hits, self._prompts.misses

        def embedding(text: str, negative: bool) -> Embedding:
            encode = form.encode_negative if negative else form.encode
            return self._prompts.get((refining, negative, mixed, text), lambda: encode(pipe, text, tokens))

        counts = [payload.num_images_per_prompt for payload in payloads]
        arguments = _stack([embedding(payload.prompt, False) for payload in payloads], counts)
        if form.is_guided(payloads[0]):
            negatives = _stack([embedding(payload.negative_prompt, True) for payload in payloads], counts)
            arguments |= {f"negative_{name}": tensor for name, tensor in negatives.items()}
        log(
            "info",
            "texts_encoded",
            hits=self._prompts.hits - before[0],
            misses=self._prompts.misses - before[1],
            kept_bytes=self._prompts.size_bytes,
        )
        return arguments

    def _refiner_texts(self, payloads: Sequence[Payload]) -> dict[str, Any] | None:
        if self._refiner is None or not can_refine(payloads[0]):
            return None
        return self._texts(self._refiner, payloads, refining=True)

    def _decode(self, latents: Any, wanted: Sequence[int], by_row: Sequence[Payload]) -> list[Pixels]:
        """Return the pictures of the rows `wanted`, several at a time if they are small."""
        area_px = by_row[0].width * by_row[0].height
        self._set_tiling(area_px)
        at_once = max(1, self.speed.decode_px // area_px)
        pictures: list[Pixels] = []
        for start in range(0, len(wanted), at_once):
            chunk = list(wanted[start : start + at_once])
            images = self._form.decode(self.pipe, latents[chunk])
            if not bool(torch.isfinite(images).all()):
                raise ModelError(
                    "The model produced numbers that are not a picture (NaN or infinity). Try another seed, "
                    "scheduler or a lower guidance."
                )
            drawn = self._to_pixels(images)
            pictures += [_finish(pixels, by_row[row]) for row, pixels in zip(chunk, drawn, strict=True)]
        return pictures

    def _set_tiling(self, area_px: int) -> None:
        tile_from_px = self.speed.tile_from_px
        if tile_from_px is not None and area_px > tile_from_px:
            self.pipe.vae.enable_tiling()
        else:
            self.pipe.vae.disable_tiling()

    def _preview(self, tap: StepTap, row: int, payload: Payload) -> Pixels:
        latents = self._form.unpack(tap.expected_latents(row), self.pipe, payload)
        small = shrink_latents(latents, int(self.pipe.vae_scale_factor))
        # A preview can overflow where the finished picture does not.
        pixels = self._to_pixels(torch.nan_to_num(self._form.decode(self.pipe, small)))[0]
        return _finish(pixels, payload)

    def _to_pixels(self, images: Any) -> list[Pixels]:
        """Return uint8 (height, width, 3) for each of the images (n, 3, height, width) in -1 to 1."""
        pixels = self.pipe.image_processor.postprocess(images, output_type="np")
        return list((pixels * 255).round().astype(np.uint8))

    def _wait_for_device(self) -> None:
        if self.device == "cuda":
            torch.cuda.synchronize()

    def _peak_memory_bytes(self) -> int:
        """Return the peak memory: allocated by this pass on a GPU, resident in the process on a CPU."""
        if self.device == "cuda":
            return int(torch.cuda.max_memory_allocated())
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


class _Unwatched:
    def on_step(self, step: int, preview: Callable[[int], Pixels]) -> frozenset[int]:
        """Do nothing: a warm-up has no observer."""
        return frozenset()


def _rows(payloads: Sequence[Payload]) -> list[range]:
    """Return which rows of the pass belong to which request."""
    ends = list(accumulate(payload.num_images_per_prompt for payload in payloads))
    return [range(end - p.num_images_per_prompt, end) for end, p in zip(ends, payloads, strict=True)]


def _stack(embeddings: Sequence[Embedding], counts: Sequence[int]) -> dict[str, Any]:
    """Return each tensor with one row per picture."""
    return {
        name: torch.cat(
            [e[name].expand(n, *e[name].shape[1:]) for e, n in zip(embeddings, counts, strict=True)]
        )
        for name in embeddings[0]
    }


def _finish(drawn: Pixels, payload: Payload) -> Pixels:
    if payload.task != "inpainting":
        return drawn
    return keep_masked(drawn, payload.image_pixels, payload.mask_pixels)


def _describe(speed: Speed, device: Device) -> dict[str, object]:
    found = {name: str(v) if name == "compile_cache_dir" else v for name, v in asdict(speed).items()}
    return {**found, "attention": "sdpa", "device": device.name, "device_bytes": device.total_bytes}


def _too_big(payloads: Sequence[Payload]) -> OutOfMemory:
    count = sum(payload.num_images_per_prompt for payload in payloads)
    return OutOfMemory(
        f"There is not enough memory for {count} picture{'s' if count > 1 else ''} of {payloads[0].width} x "
        f"{payloads[0].height}: ask for fewer or smaller ones.",
        param="num_images_per_prompt" if count > 1 else "width",
    )
