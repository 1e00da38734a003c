"""Sizes a model can draw: the usual shapes at its native number of pixels, and the nearest to any other size."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import NamedTuple

# Each is also offered rotated.
RATIOS = ((1, 1), (4, 3), (3, 2), (16, 9), (21, 9))
# The most a shape may differ from the ratio it is named after.
_CLOSE_ENOUGH = 0.05
# The weight of a ratio's error relative to the error in the number of pixels.
_RATIO_WEIGHT = 4.0


class Size(NamedTuple):
    """A preset: label, width and height in pixels."""

    label: str
    width: int
    height: int


def preset_sizes(native: tuple[int, int], *, min_px: int, max_px: int, grid_px: int) -> tuple[Size, ...]:
    """The usual shapes within the limits, each as near as the grid lets it to its ratio and to `native`'s pixels.

    Wide ones come after the square, each followed by itself turned upright. A ratio that the limits do not allow at
    about as many pixels is left out. `native` itself comes first, under its own ratio where it is none of these.
    """
    sizes = [Size(_label(*native), *native)]
    for wide, high in RATIOS:
        found = _nearest(wide / high, native[0] * native[1], min_px, max_px, grid_px)
        if found is None:
            continue
        width, height = found
        for label, size in ((f"{wide}:{high}", (width, height)), (f"{high}:{wide}", (height, width))):
            if all(known.label != label for known in sizes):
                sizes.append(Size(label, *size))
    return tuple(sizes)


def turned(label: str) -> str:
    """Returns the label of the rotated shape: `16:9` for `9:16`."""
    wide, _, high = label.partition(":")
    return f"{high}:{wide}"


def on_grid(side: float, *, min_px: int, max_px: int, grid_px: int) -> int:
    """Returns the nearest valid side in pixels."""
    lowest, highest = -(-min_px // grid_px), max_px // grid_px
    return min(max(round(side / grid_px), lowest), highest) * grid_px


def _nearest(ratio: float, pixels: int, min_px: int, max_px: int, grid_px: int) -> tuple[int, int] | None:
    """Returns the best width and height on the grid; None if no such shape has at least half of the pixels."""
    best: tuple[float, tuple[int, int]] | None = None
    for width in range(-(-min_px // grid_px) * grid_px, max_px + 1, grid_px):
        for height in {
            on_grid(width / ratio + step * grid_px, min_px=min_px, max_px=max_px, grid_px=grid_px)
            for step in (-1, 0, 1)
        }:
            off = abs(math.log(width / height / ratio))
            fewer = math.log(width * height / pixels)
            if off > _CLOSE_ENOUGH or fewer < math.log(0.5):
                continue
            cost = _RATIO_WEIGHT * off + abs(fewer)
            if best is None or cost < best[0]:
                best = (cost, (width, height))
    return None if best is None else best[1]


def _label(width: int, height: int) -> str:
    for wide, high in RATIOS:
        for label, ratio in ((f"{wide}:{high}", wide / high), (f"{high}:{wide}", high / wide)):
            if abs(math.log(width / height / ratio)) < _CLOSE_ENOUGH / 2:
                return label
    exact = Fraction(width, height)
    return f"{exact.numerator}:{exact.denominator}"
