"""Other words for the things of a selection, and filler words, found with pocket-clip's word vectors.

Captions made of names alone teach a model that every other word matters: "a buttery croissant" becomes something else.
Nothing here is listed by hand, and the fixed prompts of `evaluate` are not used.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from inference.pocket.clip_text import COLOUR, Concepts, TextSide
from inference.pocket.dataset import Row
from inference.pocket.errors import PocketError
from inference.pocket.folders import CLIP_WEIGHTS
from inference.pocket.words import Words, WordsError

# A word belongs to the thing it is most similar to, if the similarity is at least this high.
OWN_FROM = 0.62
MOST_OWN = 12
# A filler word is common and similar to no thing.
FILLING_BELOW = 0.42
COMMONEST = 9000


@dataclass(frozen=True)
class Wording:
    """`others`: for each name, its tags and own words with their probabilities, which sum to 1; `fillers`: words
    similar to no thing.
    """

    others: dict[str, tuple[tuple[str, ...], npt.NDArray[np.float64]]]
    fillers: tuple[str, ...]

    def other(self, name: str, rng: np.random.Generator, count: int) -> list[str]:
        """Return up to `count` distinct other words for a thing, drawn by their probabilities."""
        words, chances = self.others.get(name, ((), np.zeros(0)))
        count = min(count, len(words))
        return (
            [words[int(i)] for i in rng.choice(len(words), count, replace=False, p=chances)] if count else []
        )


def find_wording(rows: Sequence[Row], folder: Path = CLIP_WEIGHTS) -> Wording:
    """Return other words for the things of these rows.

    A tag that many things have is drawn rarely: its weight is 1 / the number of these things. Raises `PocketError` when
    pocket-clip's folder is missing or broken.
    """
    try:
        words = Words.open(folder)
    except WordsError as exc:
        raise PocketError(str(exc)) from exc
    tags = {row.name: tuple(tag for tag in row.tags if not COLOUR.search(tag)) for row in rows}
    names = tuple(sorted(tags))
    bearers = Counter(tag for some in tags.values() for tag in set(some))
    nowhere = np.zeros((len(names), 1), np.float32)
    listed = [word for word in words.places if not COLOUR.search(word)]
    likeness = TextSide(words, Concepts(names, tuple(tags[n] for n in names), nowhere)).likeness(listed)
    likest, how_like = likeness.argmax(1), likeness.max(1)
    others = {}
    for place, name in enumerate(names):
        own = np.flatnonzero((likest == place) & (how_like >= OWN_FROM))
        own = own[np.argsort(-how_like[own])][:MOST_OWN]
        weights = {tag: 1 / bearers[tag] for tag in tags[name]}
        weights |= {listed[i]: 1.0 for i in own}
        weights.pop(name, None)
        chances = np.array(list(weights.values()), np.float64)
        others[name] = (tuple(weights), chances / chances.sum() if len(chances) else chances)
    fillers = (w for w, like in zip(listed[:COMMONEST], how_like, strict=False) if like < FILLING_BELOW)
    return Wording(others, tuple(fillers))
