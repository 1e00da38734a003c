"""The text side of pocket-clip: the known things, their names and tags, and the embedding of any text.

It needs numpy and safetensors only. The embedding of a text is the mean of the things' positions in picture space,
weighted by the similarity of their names and tags to the text (attention over what is known; Ramsauer et al. 2020).
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load_file

from inference.pocket.words import Vectors, Words, WordsError, unit

CONCEPTS, PLACES = "concepts.json", "concepts.safetensors"
NAME_SHARE = 2.0
# Softmax temperature from the similarities of a text to shares of things; a lower one selects fewer things.
# Tuned on held-out tags; 0.03 is about as good.
SHARPNESS = 0.05
# Words about how a picture is drawn, not about what it shows.
_STYLES = "(3d|flat|glossy|noto|twemoji)"
_COLOURS = "(red|orange|yellow|green|teal|blue|purple|pink|brown|black|gr[ae]y|white)"
MANNER = re.compile(
    rf"\b{_STYLES} style\b|\b{_STYLES}( (icon|emoji|picture))? of\b|, ?{_STYLES}$"
    rf"|\bon an? (\w+ )?background\b|,? ?\b{_COLOURS} background\b"
)
COLOUR = re.compile(rf"\b{_COLOURS}\b ?")
FILLING = frozenset({"a", "an", "the", "of", "in", "to"})


@dataclass(frozen=True)
class Concepts:
    """`names` and `tags` of n things; `places`: float32 (n, d), unit length, their positions in the joint space."""

    names: tuple[str, ...]
    tags: tuple[tuple[str, ...], ...]
    places: Vectors


class TextSide:
    """Embeds texts in the joint space and finds the things they are similar to."""

    def __init__(self, words: Words, concepts: Concepts) -> None:
        self.words, self.concepts = words, concepts

    @classmethod
    def open(cls, folder: Path) -> TextSide:
        """Read words and things from pocket-clip's folder. Raises `WordsError` naming the missing or broken file."""
        words = Words.open(folder)
        try:
            listed = json.loads((folder / CONCEPTS).read_text(encoding="utf-8"))
            tensors = load_file(folder / PLACES)
            spelled = listed["tags"]
            concepts = Concepts(
                tuple(listed["names"]),
                tuple(tuple(spelled[i] for i in some) for some in listed["tags_of"]),
                unit(tensors["places"].astype(np.float32) * tensors["scales"].astype(np.float32)[:, None]),
            )
        except (OSError, ValueError, KeyError, TypeError, IndexError, SafetensorError) as exc:
            raise WordsError(f"{folder} does not list what pocket-clip knows: {exc}") from exc
        if not len(concepts.names) == len(concepts.tags) == len(concepts.places):
            raise WordsError(f"{folder}: {CONCEPTS} and {PLACES} are not of one model.")
        return cls(words, concepts)

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return the embeddings of texts: float32 (n, d), unit length; zeros for a text without a known word."""
        return unit(np.asarray(self.shares(texts) @ self.concepts.places, np.float32))

    def shares(self, texts: Sequence[str]) -> Vectors:
        """Return the share of each thing in a text: float32 (texts, things); rows sum to 1, or are zeros without a
        known word.
        """
        likeness = self.likeness(texts)
        shares = np.exp((likeness - likeness.max(1, keepdims=True)) / SHARPNESS)
        known = np.abs(likeness).max(1, keepdims=True) > 0
        return np.asarray(shares / shares.sum(1, keepdims=True) * known, np.float32)

    def likeness(self, texts: Sequence[str]) -> Vectors:
        """Return the similarity of texts to all things, float32 (texts, things), -1 to 1; 0 without a known word.

        The mean of two similarities: to the thing's names and tags together, and to the nearest of them. Words about
        style and background are ignored.
        """
        said = [spoken_of(text) for text in texts]
        asked = self.words.embed(said)
        phrases = asked @ self._phrases.T
        nearest = np.maximum.reduceat(phrases[:, self._phrase_places], self._starts, axis=1)
        found = (asked @ self.together.T + nearest) / 2
        for i, text in enumerate(said):
            if text in self._by_name:
                # Names with the same words, such as "1st place medal" and "2nd place medal", differ only in spelling.
                found[i, self._by_name[text]] += 0.5
        return np.asarray(found, np.float32)

    @cached_property
    def together(self) -> Vectors:
        """One vector per thing for its name and tags: float32 (things, width of the words); the name counts double."""
        vectors = self._phrases[self._phrase_places]
        names = np.zeros(len(vectors), np.float32)
        names[self._starts] = 1
        sums = np.add.reduceat(vectors * (1 + (NAME_SHARE - 1) * names)[:, None], self._starts, axis=0)
        return unit(np.asarray(sums, np.float32))

    @cached_property
    def _by_name(self) -> dict[str, int]:
        return {name: place for place, name in enumerate(self.concepts.names)}

    @cached_property
    def _spelled(self) -> dict[str, int]:
        """Every distinct name and tag, and its index."""
        return {
            text: place for place, text in enumerate(dict.fromkeys(t for of in self._said_of_all for t in of))
        }

    @property
    def _said_of_all(self) -> list[tuple[str, ...]]:
        return [(name, *tags) for name, tags in zip(self.concepts.names, self.concepts.tags, strict=True)]

    @cached_property
    def _phrases(self) -> Vectors:
        return self.words.embed(list(self._spelled))

    @cached_property
    def _phrase_places(self) -> npt.NDArray[np.int64]:
        return np.array([self._spelled[t] for of in self._said_of_all for t in of])

    @cached_property
    def _starts(self) -> npt.NDArray[np.int64]:
        lengths = [len(of) for of in self._said_of_all]
        return np.cumsum([0, *lengths[:-1]])


def spoken_of(text: str) -> str:
    """Return the subject of a prompt: lower case, without article, style, or background."""
    plain = MANNER.sub(" ", text.lower())
    plain = re.sub(r"[^a-z0-9' ]", " ", plain)
    plain = re.sub(r"\s+", " ", plain).strip()
    return re.sub(r"^(an?|the) ", "", plain)


def worded_like(tag: str, queries: Collection[str]) -> bool:
    """Return whether a tag is worded like one of the queries, apart from number and filler words."""
    return _stems(tag) in {_stems(query) for query in queries}


def _stems(text: str) -> frozenset[str]:
    return frozenset(w.rstrip("s") for w in re.findall(r"[a-z]+", text) if w not in FILLING)
