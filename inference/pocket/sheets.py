"""Draws a list of prompts, and puts pictures on a contact sheet."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from inference.pocket.colours import Rgb

# The defaults of the model card; measured in MODEL_CARD.md.
STEPS, GUIDANCE = 20, 4.0
FIRST_SEED = 100
CELL_PX, GAP_PX = 128, 4
LABEL_LINES, LINE_PX, LINE_LETTERS = 3, 12, 24


def draw(
    pipe: Any,
    prompts: Sequence[str],
    *,
    first_seed: int = FIRST_SEED,
    steps: int = STEPS,
    guidance: float = GUIDANCE,
    side_px: int | None = None,
) -> list[Rgb]:
    """Return one picture per prompt, uint8 (side, side, 3); prompt i has seed `first_seed + i`."""
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


def save_sheet(
    pictures: Sequence[Rgb], columns: int, file: Path, labels: Sequence[str] | None = None
) -> None:
    """Write the pictures, row by row, as one PNG with cells of 128 px, each with its label if there are labels."""
    rows = -(-len(pictures) // columns)
    pitch = CELL_PX + GAP_PX
    high = pitch + (LABEL_LINES * LINE_PX if labels is not None else 0)
    sheet = Image.new("RGB", (columns * pitch + GAP_PX, rows * high + GAP_PX), "gray")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(LINE_PX - 2)
    for index, picture in enumerate(pictures):
        cell = Image.fromarray(picture).resize((CELL_PX, CELL_PX), Image.Resampling.BICUBIC)
        left, top = index % columns * pitch + GAP_PX, index // columns * high + GAP_PX
        sheet.paste(cell, (left, top))
        if labels is not None:
            lines = textwrap.wrap(labels[index], LINE_LETTERS)[:LABEL_LINES]
            pen.multiline_text((left, top + CELL_PX), "\n".join(lines), "white", font, spacing=0)
    file.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(file)
