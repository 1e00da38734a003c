"""The training pictures of a model: drawings on backgrounds, moved, mirrored, and recolored."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from inference.pocket.colours import HUES, PALETTE, Rgb, Rgba, recolour
from inference.pocket.dataset import DataSet, Row

FARTHER_THAN_DEG = 24.0
# A bare prompt asks for the plain picture on white, so it is shown more often.
PLAIN_WEIGHT, RECOLOURED_WEIGHT = 3.0, 0.5
# Glossy drawings differ from 3d ones in little more than shading.
STYLE_WEIGHTS = {"glossy": 0.3, "flat": 0.7}


@dataclass(frozen=True)
class Variant:
    """What one picture shows: a row on a background, recolored when `colour` is not None."""

    row: Row
    background: str
    colour: str | None
    weight: float


@dataclass(frozen=True)
class Pool:
    """Pictures uint8 (n, size, size, 3) and, in the same order, what they show."""

    pictures: npt.NDArray[np.uint8]
    variants: tuple[Variant, ...]


def compose_pool(
    dataset: DataSet, rows: Iterable[Row], size_px: int, seed: int, *, steady: bool = False
) -> Pool:
    """Return three to six pictures of every row, about 1 ms each; the same seed gives the same pictures.

    `steady` pictures are centered and never mirrored, so that a small model has less to learn.
    """
    rng = np.random.default_rng(seed)
    backgrounds = [name for name in PALETTE if name != "white"]
    pictures: list[Rgb] = []
    variants: list[Variant] = []

    def add(row: Row, background: str, colour: str | None, *, moved: bool, flip: bool) -> None:
        drawing = dataset.images[row.index]
        if colour is not None:
            drawing = recolour(drawing, row.tint, colour)
        pictures.append(compose(drawing, size_px, background, rng, moved=moved, flip=flip))
        plain = background == "white" and colour is None
        weight = PLAIN_WEIGHT if plain else RECOLOURED_WEIGHT if colour is not None else 1.0
        weight *= STYLE_WEIGHTS.get(row.style, 1.0)
        variants.append(Variant(row, background, colour, weight))

    for row in rows:
        mirror = [bool(not steady and row.may_flip and rng.random() < 0.5) for _ in range(5)]
        add(row, "white", None, moved=False, flip=False)
        if not steady:
            add(row, "white", None, moved=True, flip=mirror[0])
        add(row, str(rng.choice(backgrounds)), None, moved=False, flip=mirror[1])
        add(row, str(rng.choice(backgrounds)), None, moved=not steady, flip=mirror[2])
        if row.tint.is_plain:
            first, second = rng.choice(_other_colours(row), 2, replace=False)
            background = str(rng.choice([*backgrounds, "white"]))
            add(row, "white", str(first), moved=False, flip=mirror[3])
            add(row, background, str(second), moved=not steady and background != "white", flip=mirror[4])
    return Pool(np.stack(pictures), tuple(variants))


def compose(
    drawing: Rgba, size_px: int, background: str, rng: np.random.Generator, *, moved: bool, flip: bool
) -> Rgb:
    """Return the drawing on a background: centered at 15/16 of the side, or `moved` and scaled at random."""
    image = Image.fromarray(drawing)
    side = int(rng.integers(size_px * 3 // 4, size_px * 62 // 64 + 1)) if moved else size_px * 15 // 16
    if flip:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    image = image.resize((side, side), Image.Resampling.LANCZOS)
    ground = np.array(PALETTE[background])
    if background not in ("white", "black"):
        # So that each color word covers a range of colors.
        ground = np.clip(ground + rng.integers(-14, 15, 3), 0, 255)
    picture = Image.new("RGB", (size_px, size_px), (int(ground[0]), int(ground[1]), int(ground[2])))
    room = size_px - side
    at = (int(rng.integers(room + 1)), int(rng.integers(room + 1))) if moved else (room // 2, room // 2)
    picture.paste(image, at, image)
    return np.asarray(picture).copy()


def held_out_colour(name: str) -> str:
    """Return the color in which no picture shows the thing, so that evaluation can test an unseen combination."""
    # hash() would differ between processes.
    return list(HUES)[zlib.crc32(name.encode()) % len(HUES)]


def _other_colours(row: Row) -> list[str]:
    held_out = held_out_colour(row.name)
    return [
        colour
        for colour, hue_deg in HUES.items()
        if abs((hue_deg - row.tint.hue_deg + 180) % 360 - 180) > FARTHER_THAN_DEG and colour != held_out
    ]
