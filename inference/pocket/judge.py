"""Says what a picture shows, by comparing it with every drawing of the data set: shares no weights with the model.

Compared are edge directions in a grid (histograms of oriented gradients, Dalal and Triggs 2005) and mean colours in
the same grid. It knows all 1,361 things in five styles, most of which the model was never shown.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from inference.pocket.colours import LUMA, PALETTE, Floats, Rgb, Tint, measure_tint
from inference.pocket.dataset import DataSet, Row
from inference.pocket.variants import compose

SIDE_PX, CELL_PX, DIRECTIONS = 64, 8, 8
CELLS = SIDE_PX // CELL_PX
COLOUR_WEIGHT = 0.5
FOREGROUND_DISTANCE = 48.0
BORDER_PX = 2
# Every fourth drawing tells the judge's accuracy well enough.
ASKED_EVERY = 4


@dataclass(frozen=True)
class Verdict:
    """What the judge says: the likeliest things, and the rank (from 1) of the one asked about."""

    likeliest: tuple[str, ...]
    rank: int


class Judge:
    """Compares pictures with reference drawings on one background each; building one takes seconds."""

    def __init__(self, dataset: DataSet, rows: list[Row]) -> None:
        self._dataset, self._rows = dataset, rows
        self._names = np.array([row.name for row in rows])
        self._references: dict[str, tuple[Floats, Floats]] = {}

    def ask(self, picture: Rgb, thing: str, *, background: str = "white", by_colour: bool = True) -> Verdict:
        """Return the verdict on a picture uint8 (side, side, 3); without `by_colour`, form alone decides.

        The references are put on `background`, so that what surrounds the thing tells nothing.
        """
        edges, colours = self._on(background)
        edge, colour = features(picture)
        likeness = edges @ edge
        if by_colour:
            likeness = likeness - COLOUR_WEIGHT * np.abs(colours - colour).mean(1)
        names = list(dict.fromkeys(self._names[np.argsort(-likeness)].tolist()))
        return Verdict(tuple(names[:5]), names.index(thing) + 1)

    def accuracy(self, style: str) -> tuple[float, float]:
        """Return how often (top 1, top 5) it names the drawings of one style right, with that style taken out."""
        others = Judge(self._dataset, [row for row in self._rows if row.style != style])
        known = {row.name for row in others._rows}
        asked = [row for row in self._rows if row.style == style and row.name in known][::ASKED_EVERY]
        ranks = np.array([others.ask(self._compose(row, "white"), row.name).rank for row in asked])
        return float((ranks == 1).mean()), float((ranks <= 5).mean())

    def _on(self, background: str) -> tuple[Floats, Floats]:
        if background not in self._references:
            both = [features(self._compose(row, background)) for row in self._rows]
            self._references[background] = (np.stack([e for e, _ in both]), np.stack([c for _, c in both]))
        return self._references[background]

    def _compose(self, row: Row, background: str) -> Rgb:
        rng = np.random.default_rng(row.index)
        drawing = self._dataset.images[row.index]
        return compose(drawing, SIDE_PX, background, rng, moved=False, flip=False)


def features(picture: Rgb) -> tuple[Floats, Floats]:
    """Return edge directions, unit length (512,), and mean colours in 0 to 1 (192,) of a picture of any size."""
    image = Image.fromarray(picture)
    if image.size != (SIDE_PX, SIDE_PX):
        image = image.resize((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS)
    rgb = np.asarray(image).astype(np.float32) / 255
    down, across = np.gradient(rgb @ LUMA)
    strength = np.hypot(down, across)
    direction = ((np.arctan2(down, across) % np.pi) / np.pi * DIRECTIONS).astype(np.int64) % DIRECTIONS
    cell = np.arange(SIDE_PX) // CELL_PX
    place = (cell[:, None] * CELLS + cell[None, :]) * DIRECTIONS + direction
    counts = np.bincount(place.ravel(), strength.ravel(), minlength=CELLS * CELLS * DIRECTIONS)
    # The square root keeps one strong outline from deciding alone.
    edges = np.sqrt(counts)
    colours = rgb.reshape(CELLS, CELL_PX, CELLS, CELL_PX, 3).mean((1, 3)).ravel()
    return (edges / max(float(np.linalg.norm(edges)), 1e-6)).astype(np.float32), colours.astype(np.float32)


def background_of(picture: Rgb) -> npt.NDArray[np.float64]:
    """Return the colour around the thing: the median of the picture's border, (3,) in 0 to 255."""
    b = BORDER_PX
    edge = [
        picture[:b].reshape(-1, 3),
        picture[-b:].reshape(-1, 3),
        picture[:, :b].reshape(-1, 3),
        picture[:, -b:].reshape(-1, 3),
    ]
    return np.asarray(np.median(np.concatenate(edge), axis=0), np.float64)


def foreground_of(picture: Rgb) -> Rgb:
    """Return the pixels that differ from the background, uint8 (n, 3)."""
    distance = np.linalg.norm(picture.astype(np.float64) - background_of(picture), axis=-1)
    return np.asarray(picture[distance > FOREGROUND_DISTANCE])


def thing_tint(picture: Rgb) -> Tint:
    """Return the colour that dominates the thing in a picture."""
    return measure_tint(foreground_of(picture))


def background_name(picture: Rgb) -> str:
    """Return the palette's word nearest to the colour around the thing."""
    ground = background_of(picture)
    return min(PALETTE, key=lambda name: float(np.linalg.norm(ground - np.array(PALETTE[name]))))
