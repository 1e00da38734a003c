"""What a small model knows, and whether a prompt is too far from all of it, so that the answer carries a hint.

A model folder lists this in `known.json`: the things' names and tags, and the similarity below which a prompt counts as
far. The word vectors are pocket-clip's; only numpy is needed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from inference.errors import StartError
from inference.pocket.clip_text import COLOUR, Concepts, TextSide, spoken_of
from inference.pocket.folders import CLIP_WEIGHTS
from inference.pocket.words import WORD, Words, WordsError

FILE = "known.json"
NEAREST = 3
LONGEST_PART = 4
# The similarity of a part of a prompt is multiplied by the part's share to this power.
PART_POWER = 0.2


@dataclass(frozen=True)
class Hint:
    """The nearest things to a prompt, nearest first, and the similarity of the first: 0 (nothing in common) to 1."""

    nearest: list[str]
    likeness: float


class Known:
    """The things that one model knows; a query takes about a millisecond."""

    def __init__(self, side: TextSide, far_below: float) -> None:
        self._side, self.far_below = side, far_below

    @classmethod
    def open(cls, model_folder: Path, words_folder: Path = CLIP_WEIGHTS) -> Known | None:
        """Read the `known.json` of a model folder; None when it has none.

        Raises `StartError` naming the file when it or the table of words is broken.
        """
        file = model_folder / FILE
        if not file.exists():
            return None
        try:
            listed = json.loads(file.read_text(encoding="utf-8"))
            far_below = float(listed["far_below"])
            names = tuple(str(thing["name"]) for thing in listed["things"])
            tags = tuple(tuple(str(tag) for tag in thing["tags"]) for thing in listed["things"])
            words = Words.open(words_folder)
        except WordsError as exc:
            raise StartError(f"{file} needs the table of words: {exc}") from exc
        except (OSError, ValueError, KeyError, TypeError) as exc:
            raise StartError(f"{file} cannot be read: {exc!r}") from exc
        if not names:
            raise StartError(f"{file} lists no things.")
        return cls(TextSide(words, Concepts(names, tags, np.zeros((len(names), 1), np.float32))), far_below)

    def hint(self, prompt: str) -> Hint | None:
        """Return the nearest things when a prompt is far from everything known; None when it is near."""
        found = self.nearest(prompt)
        return found if found.likeness < self.far_below else None

    def nearest(self, prompt: str) -> Hint:
        """Return the nearest things to a prompt, or to the part of it that is nearest to any thing."""
        parts = _parts(prompt)
        likeness = self._side.likeness([text for text, _ in parts]).clip(0, 1)
        weighed = likeness * np.array([share**PART_POWER for _, share in parts], np.float32)[:, None]
        by_thing = weighed.max(0)
        best = np.argsort(-by_thing)[:NEAREST]
        return Hint([self._side.concepts.names[i] for i in best], round(float(by_thing[best[0]]), 3))


def _parts(prompt: str) -> list[tuple[str, float]]:
    """Return the prompt without style and background, then also without colors, then its runs of one to four words,
    each with its share of the prompt.
    """
    named = spoken_of(prompt)
    # A color is no subject either, unless it is part of a thing's name or the whole prompt.
    said = COLOUR.sub("", named).strip() or named
    words = WORD.findall(said)
    parts = [(named, 1.0), (said, 1.0)]
    for length in range(1, min(LONGEST_PART, len(words) - 1) + 1):
        for start in range(len(words) - length + 1):
            run = words[start : start + length]
            parts.append((" ".join(run), length / len(words)))
    return parts
