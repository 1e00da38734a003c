"""Plain use of the stock pipeline, for the raw loop, LitServe's model, and the plain script of the cold start.

`python -m bench.model.plain FOLDER FILE SIDE_PX` draws one picture and prints `done` when its PNG is written.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from typing import Any

import torch
from diffusers import StableDiffusionPipeline

from bench.drawing import Request, request


def load(folder: str) -> Any:
    """Return the stock pipeline of a folder in float32, as its documentation loads it."""
    # Explicit, because transformers keeps a file's half precision and diffusers does not.
    pipe = StableDiffusionPipeline.from_pretrained(folder, torch_dtype=torch.float32, local_files_only=True)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def draw(pipe: Any, requests: Sequence[Request]) -> list[Any]:
    """Return the pictures (Pillow) for requests that differ only in prompt and seed, drawn in one call."""
    common = requests[0]
    pictures: list[Any] = pipe(
        prompt=[asked.prompt for asked in requests],
        negative_prompt=[""] * len(requests),
        width=common.side_px,
        height=common.side_px,
        num_inference_steps=common.num_inference_steps,
        guidance_scale=common.guidance_scale,
        generator=[torch.Generator("cpu").manual_seed(asked.seed) for asked in requests],
    ).images
    return pictures


def encode(picture: Any) -> bytes:
    """Return a PNG with the server's compression level."""
    stream = io.BytesIO()
    picture.save(stream, "PNG", compress_level=1)
    return stream.getvalue()


if __name__ == "__main__":
    drawn = draw(load(sys.argv[1]), [request(1, side_px=int(sys.argv[3]))])
    with open(sys.argv[2], "wb") as file:
        file.write(encode(drawn[0]))
    print("done", flush=True)
