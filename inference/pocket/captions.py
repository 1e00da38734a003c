"""Writes captions of pictures for training, in many forms, chosen at random from the facts about a picture."""

from __future__ import annotations

import re
from typing import TypeVar

import numpy as np

from inference.pocket.dataset import Row
from inference.pocket.wording import Wording

T = TypeVar("T")

DEFAULT_STYLE = "3d"
# The share of captions that contain filler words.
FILLED = 0.3
LINKS = ("with", "in", "of", "for", "and", "at", "near", "from", "that")

COLOUR_WORD = re.compile(
    r"\b(red|orange|yellow|green|teal|light blue|blue|purple|pink|brown|black|white|gray|grey)\b ?"
)


def with_article(phrase: str) -> str:
    """Return the phrase with "a" or "an", depending on its first letter."""
    return ("an " if phrase[:1] in "aeiou" else "a ") + phrase


def write_caption(
    row: Row, background: str, colour: str | None, wording: Wording, rng: np.random.Generator
) -> str:
    """Return one caption for a drawing on a background, recolored when `colour` is not None.

    Forms: "grinning cat", "a red apple, 3d style", "flat icon of a rocket on a blue background". Sometimes other words
    for the thing replace the name or stand beside it, and sometimes filler words are added.
    """
    subject = _subject(row, wording, rng)
    if colour is not None:
        subject = f"{colour} {COLOUR_WORD.sub('', subject).strip() or row.name}"
    elif (
        row.tint.colour is not None
        and row.tint.hue_share > 0.7
        and row.tint.saturated > 0.4
        and rng.random() < 0.25
        and not COLOUR_WORD.search(subject)
    ):
        subject = f"{row.tint.colour} {subject}"
    filled = bool(wording.fillers) and rng.random() < FILLED
    if filled and rng.random() < 0.6:
        subject, filled = f"{' '.join(_fillers(wording, rng))} {subject}", False
    if rng.random() < 0.6:
        subject = with_article(subject)
    if filled:
        after = " ".join(_fillers(wording, rng))
        subject = f"{subject} {_pick(rng, *LINKS)} {_pick(rng, after, with_article(after), f'the {after}')}"
    # A prompt without a style means the default style; otherwise the model would learn an average of all styles.
    if row.style != DEFAULT_STYLE or rng.random() < 0.4:
        chance = rng.random()
        if chance < 0.6:
            subject = f"{subject}, {row.style} style"
        elif chance < 0.85:
            subject = f"{row.style} {_pick(rng, 'icon', 'emoji', 'picture')} of {subject}"
        else:
            subject = f"{subject}, {row.style}"
    if background != "white":
        if rng.random() < 0.95:
            subject += _pick(rng, f" on a {background} background", f", {background} background")
    elif rng.random() < 0.2:
        subject += _pick(rng, " on a white background", ", white background")
    return subject


def _subject(row: Row, wording: Wording, rng: np.random.Generator) -> str:
    chance = rng.random()
    if chance < 0.46:
        return row.name
    if chance < 0.56:
        return " ".join(wording.other(row.name, rng, 1)) or row.name
    if chance < 0.68:
        # A description without the name.
        return " ".join(wording.other(row.name, rng, _pick(rng, 2, 3))) or row.name
    beside = wording.other(row.name, rng, _pick(rng, 1, 1, 2))
    return " ".join(_pick(rng, [*beside, row.name], [row.name, *beside]))


def _fillers(wording: Wording, rng: np.random.Generator) -> list[str]:
    return [_pick(rng, *wording.fillers) for _ in range(_pick(rng, 1, 1, 2))]


def _pick(rng: np.random.Generator, *options: T) -> T:
    return options[int(rng.integers(len(options)))]
