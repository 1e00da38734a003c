"""Real pictures made as the fixed prompts ask: what the judge's ceiling and the sharpness are measured on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from inference.pocket.captions import DEFAULT_STYLE
from inference.pocket.colours import LUMA, Rgb, recolour
from inference.pocket.dataset import DataSet, Row
from inference.pocket.prompts import Question
from inference.pocket.variants import compose


def real_pictures(dataset: DataSet, questions: Sequence[Question], side_px: int, seed: int) -> list[Rgb]:
    """Return for every question its first thing's drawing, in the style, colour and on the ground asked for.

    uint8 (side, side, 3), centred, as a model is shown them. Raises `StopIteration` when the data set lacks a thing.
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
    """Return the mean strength of the luma's gradient over what is not flat, in levels of 255 a pixel.

    The strongest twentieth of the pixels is taken: edges, which blur weakens, whatever part of the picture they are.
    """
    luma = picture.astype(np.float32) @ LUMA
    # Between neighbours: over two pixels, as np.gradient has it, a little blur does not show.
    down, across = np.diff(luma, axis=0)[:, :-1], np.diff(luma, axis=1)[:-1]
    strength = np.sort(np.hypot(down, across).ravel())
    return float(strength[-max(1, len(strength) // 20) :].mean())


def _row(dataset: DataSet, question: Question) -> Row:
    style = question.style or DEFAULT_STYLE
    return next(r for r in dataset.rows if r.name == question.things[0] and r.style == style)
