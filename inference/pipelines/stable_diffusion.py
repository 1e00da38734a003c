"""Draws with a stock StableDiffusionPipeline: the only file that runs one."""

from __future__ import annotations

import gc
import resource
import threading
import time
from collections.abc import Callable, Hashable, Sequence
from itertools import accumulate
from typing import Any

import diffusers
import numpy as np
import torch
import transformers
from diffusers import StableDiffusionPipeline

from inference.contract import ModelReference, Payload
from inference.errors import ModelError, OutOfMemory, StartError
from inference.pipelines.family import Drawing, Pixels, StepWatch
from inference.pipelines.folder import ModelFolder
from inference.pipelines.preview import StepTap, shrink_latents
from inference.pipelines.schedulers import build_scheduler


class StableDiffusionModel:
    """One loaded pipeline: float16 on a GPU, float32 on a CPU. All of it belongs to one thread."""

    def __init__(self, folder: ModelFolder, threads: int, max_batch: int) -> None:
        # They write to stderr by themselves; their warnings quote the part of a prompt that is cut off.
        for library in (diffusers, transformers):
            library.utils.logging.set_verbosity_error()
            library.utils.logging.disable_default_handler()
            library.utils.logging.enable_propagation()
            library.utils.logging.disable_progress_bar()
        torch.set_num_threads(threads)
        self.threads = threads
        self.max_batch = max_batch
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        # Beside loading, on a thread of its own: hashing releases the interpreter.
        revision: list[str] = []
        hashing = threading.Thread(target=lambda: revision.append(folder.revision()), name="revision")
        hashing.start()
        try:
            pipe: Any = StableDiffusionPipeline.from_pretrained(
                folder.path,
                dtype=torch.float16 if self.device == "cuda" else torch.float32,
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
                low_cpu_mem_usage=False,
            )
        except (OSError, ValueError, RuntimeError, KeyError, TypeError) as exc:
            raise StartError(f"{folder.path}: the pipeline does not load: {exc}") from exc
        finally:
            hashing.join()
        pipe.set_progress_bar_config(disable=True)
        self.pipe = pipe.to(self.device)
        self._scheduler_config = pipe.scheduler.config
        if not revision:
            raise StartError(f"{folder.path}: the files could not be read to the end.")
        self.reference = ModelReference(name=folder.name, revision=revision[0])
        self.versions = {"torch": torch.__version__, "diffusers": diffusers.__version__}

    def warm_up(self) -> None:
        """Draw the smallest job at the native size, without keeping it."""
        side_px = max(64, int(self.pipe.unet.config.sample_size) * int(self.pipe.vae_scale_factor))
        payload = Payload(
            prompt="warm up",
            width=side_px,
            height=side_px,
            num_inference_steps=2,
            guidance_scale=2.0,
            scheduler="ddim",
            seed=0,
            num_images_per_prompt=1,
        )
        self.draw([payload], _Unwatched())

    def batch_key(self, payload: Payload) -> Hashable | None:
        """Return what one pass has one of: size, steps, guidance and scheduler."""
        return (
            payload.width,
            payload.height,
            payload.num_inference_steps,
            payload.guidance_scale,
            payload.scheduler,
        )

    def draw(self, payloads: Sequence[Payload], watch: StepWatch) -> list[Drawing | None]:
        """Return one drawing a payload; the same payloads give the same bytes on the same machine.

        A picture differs by at most 1 level of 255 from the one its payload gives alone: sums are rounded
        differently at another batch size.
        """
        try:
            with torch.inference_mode():
                return self._draw(payloads, watch)
        except (MemoryError, torch.OutOfMemoryError) as exc:
            raise _too_big(payloads) from exc
        except RuntimeError as exc:
            # The CPU's allocator has no exception of its own.
            if "can't allocate memory" in str(exc) or "not enough memory" in str(exc):
                raise _too_big(payloads) from exc
            raise

    def free_memory(self) -> None:
        """Collect what exceptions and cycles still hold, and return cached blocks to the device."""
        gc.collect()
        if self.device == "cuda":
            torch.cuda.empty_cache()

    def _draw(self, payloads: Sequence[Payload], watch: StepWatch) -> list[Drawing | None]:
        if self.device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        started = time.perf_counter()
        common = payloads[0]
        rows = _rows(payloads)
        prompts, negatives = self._encode_text(payloads)
        self._wait_for_device()
        encoded = time.perf_counter()
        scheduler = build_scheduler(common.scheduler, self._scheduler_config)
        tap = StepTap(scheduler)
        self.pipe.scheduler = scheduler
        unwanted: frozenset[int] = frozenset()

        def after_step(_pipe: Any, index: int, _timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            nonlocal unwanted
            # Their rows stay: schedulers of several steps remember earlier outputs of all rows.
            unwanted = watch.on_step(index + 1, lambda i: self._preview(tap, rows[i].start))
            return tensors

        latents = self.pipe(
            prompt_embeds=prompts,
            negative_prompt_embeds=negatives,
            width=common.width,
            height=common.height,
            num_inference_steps=common.num_inference_steps,
            guidance_scale=common.guidance_scale,
            # CPU generators give the same noise on every device; one a picture, whatever is drawn beside it.
            generator=[torch.Generator("cpu").manual_seed(s) for p in payloads for s in p.seeds()],
            callback_on_step_end=after_step,
            output_type="latent",
        ).images
        self._wait_for_device()
        denoised = time.perf_counter()
        # One at a time: an autoencoder at full size needs more memory than all the steps before it.
        pictures = [
            None if i in unwanted else [self._decode(latents[row : row + 1]) for row in rows[i]]
            for i in range(len(payloads))
        ]
        decoded = time.perf_counter()
        return [
            None
            if drawn is None
            else Drawing(
                pictures=drawn,
                encode_text_s=encoded - started,
                denoise_s=denoised - encoded,
                decode_s=decoded - denoised,
                peak_memory_bytes=self._peak_memory_bytes(),
            )
            for drawn in pictures
        ]

    def _encode_text(self, payloads: Sequence[Payload]) -> tuple[Any, Any]:
        """Return the embeddings of prompts and negative prompts, (pictures, tokens, channels) each; the second is
        None without guidance."""
        prompts, negatives = self.pipe.encode_prompt(
            prompt=[payload.prompt for payload in payloads],
            device=self.device,
            num_images_per_prompt=1,
            do_classifier_free_guidance=payloads[0].guidance_scale > 1,
            negative_prompt=[payload.negative_prompt for payload in payloads],
        )
        counts = torch.tensor([payload.num_images_per_prompt for payload in payloads], device=self.device)
        prompts = prompts.repeat_interleave(counts, dim=0)
        return prompts, None if negatives is None else negatives.repeat_interleave(counts, dim=0)

    def _decode(self, latents: Any) -> Pixels:
        image = self._run_autoencoder(latents)
        if not bool(torch.isfinite(image).all()):
            raise ModelError(
                "The model produced numbers that are not a picture (NaN or infinity). Try another seed, scheduler "
                "or a lower guidance."
            )
        return self._to_pixels(image)

    def _preview(self, tap: StepTap, row: int) -> Pixels:
        small = shrink_latents(tap.expected_latents(row), int(self.pipe.vae_scale_factor))
        # An estimate may overflow where the finished picture will not.
        return self._to_pixels(torch.nan_to_num(self._run_autoencoder(small)))

    def _run_autoencoder(self, latents: Any) -> Any:
        vae = self.pipe.vae
        return vae.decode(latents.to(vae.dtype) / vae.config.scaling_factor, return_dict=False)[0]

    def _to_pixels(self, image: Any) -> Pixels:
        """Return uint8 (height, width, 3) of an image (1, 3, height, width) in -1 to 1."""
        pixels = self.pipe.image_processor.postprocess(image, output_type="np")[0]
        result: Pixels = (pixels * 255).round().astype(np.uint8)
        return result

    def _wait_for_device(self) -> None:
        if self.device == "cuda":
            torch.cuda.synchronize()

    def _peak_memory_bytes(self) -> int:
        """On a GPU what this request had allocated at most; on a CPU the process's highest resident size."""
        if self.device == "cuda":
            return int(torch.cuda.max_memory_allocated())
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


class _Unwatched:
    def on_step(self, step: int, preview: Callable[[int], Pixels]) -> frozenset[int]:
        """Nobody watches a warm-up."""
        return frozenset()


def _rows(payloads: Sequence[Payload]) -> list[range]:
    """Return which rows of the pass are whose."""
    ends = list(accumulate(payload.num_images_per_prompt for payload in payloads))
    return [range(end - p.num_images_per_prompt, end) for end, p in zip(ends, payloads, strict=True)]


def _too_big(payloads: Sequence[Payload]) -> OutOfMemory:
    count = sum(payload.num_images_per_prompt for payload in payloads)
    return OutOfMemory(
        f"There is not enough memory for {count} picture{'s' if count > 1 else ''} of {payloads[0].width} x "
        f"{payloads[0].height}: ask for fewer or smaller ones.",
        param="num_images_per_prompt" if count > 1 else "width",
    )
