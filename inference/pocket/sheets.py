"""Draws a list of prompts and lays pictures out on one sheet, for a person to look at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from inference.pocket.colours import Rgb

# What the model card offers as defaults; measured in MODEL_CARD.md.
STEPS, GUIDANCE = 20, 4.0
FIRST_SEED = 100
CELL_PX, GAP_PX = 128, 4


def draw(
    pipe: Any,
    prompts: Sequence[str],
    *,
    first_seed: int = FIRST_SEED,
    steps: int = STEPS,
    guidance: float = GUIDANCE,
    side_px: int | None = None,
) -> list[Rgb]:
    """Return one picture for every prompt, uint8 (side, side, 3); prompt i has seed `first_seed + i`."""
    seeds = [torch.Generator("cpu").manual_seed(first_seed + i) for i in range(len(prompts))]
    with torch.inference_mode():
        pictures = pipe(
            list(prompts),
            num_inference_steps=steps,
            guidance_scale=guidance,
            generator=seeds,
            height=side_px,
            width=side_px,
            output_type="np",
        ).images
    return [np.asarray(picture * 255 + 0.5).astype(np.uint8) for picture in pictures]


def save_sheet(pictures: Sequence[Rgb], columns: int, file: Path) -> None:
    """Write the pictures, row by row, as one PNG with cells of 128 px."""
    rows = -(-len(pictures) // columns)
    pitch = CELL_PX + GAP_PX
    sheet = Image.new("RGB", (columns * pitch + GAP_PX, rows * pitch + GAP_PX), "gray")
    for index, picture in enumerate(pictures):
        cell = Image.fromarray(picture).resize((CELL_PX, CELL_PX), Image.Resampling.BICUBIC)
        sheet.paste(cell, (index % columns * pitch + GAP_PX, index // columns * pitch + GAP_PX))
    file.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(file)
