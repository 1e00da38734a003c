"""Real pictures that match the fixed prompts, as a reference for the judge's ceiling and the sharpness."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from inference.pocket.captions import DEFAULT_STYLE
from inference.pocket.colours import LUMA, Rgb, recolour
from inference.pocket.dataset import DataSet, Row
from inference.pocket.prompts import Question
from inference.pocket.variants import compose


def real_pictures(dataset: DataSet, questions: Sequence[Question], side_px: int, seed: int) -> list[Rgb]:
    """Return for every question a drawing of its first thing, in the requested style, color, and background.

    uint8 (side, side, 3), centered as in training. Raises `StopIteration` when the data set lacks a thing.
    """
    rng = np.random.default_rng(seed)
    pictures = []
    for question in questions:
        row = _row(dataset, question)
        drawing = dataset.images[row.index]
        if question.colour is not None:
            drawing = recolour(drawing, row.tint, question.colour)
        ground = question.background or "white"
        pictures.append(compose(drawing, side_px, ground, rng, moved=False, flip=False))
    return pictures


def sharpness(picture: Rgb) -> float:
    """Return the mean gradient strength of the luma at edges, in levels of 255 per pixel.

    Only the strongest twentieth of the pixels counts: edges, which blur weakens, however much of the picture is flat.
    """
    luma = picture.astype(np.float32) @ LUMA
    # Differences of adjacent pixels: np.gradient spans two pixels, which hides slight blur.
    down, across = np.diff(luma, axis=0)[:, :-1], np.diff(luma, axis=1)[:-1]
    strength = np.sort(np.hypot(down, across).ravel())
    return float(strength[-max(1, len(strength) // 20) :].mean())


def _row(dataset: DataSet, question: Question) -> Row:
    style = question.style or DEFAULT_STYLE
    return next(r for r in dataset.rows if r.name == question.things[0] and r.style == style)
