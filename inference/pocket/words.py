"""Vectors for English words and phrases, from a table distilled from a sentence embedding; numpy is enough to read it.

A phrase is the weighted mean of its words, with less weight on frequent ones (Arora et al. 2017), as in model2vec. The
table is a folder's `words.safetensors` and `words.json`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load_file

Vectors = npt.NDArray[np.float32]

TENSORS, LIST = "words.safetensors", "words.json"
WORD = re.compile(r"[a-z]+")
# Shorter parts occur in too many words by chance.
LEAST_PART = 3
# The hundredth most frequent word has half the weight.
HALF_RANK = 100.0
ENDINGS = (
    *(("ies", "y"), ("es", ""), ("es", "e"), ("s", "")),
    *(("ing", ""), ("ing", "e"), ("ed", ""), ("ed", "e"), ("er", ""), ("er", "e")),
    *(("ful", ""), ("ly", ""), ("ness", ""), ("y", "")),
)


class WordsError(Exception):
    """A table of words is missing or cannot be read. The message names the file."""


@dataclass(frozen=True)
class Words:
    """`vectors`: int8 (n, d); `scales`: float32 (n,), the step size of each row; `places`: word to row.

    Words are sorted by frequency: the row of a word decides its weight.
    """

    vectors: npt.NDArray[np.int8]
    scales: Vectors
    places: dict[str, int]

    @classmethod
    def open(cls, folder: Path) -> Words:
        """Read the table in a folder. Raises `WordsError` naming the missing or broken file."""
        try:
            listed = json.loads((folder / LIST).read_text(encoding="utf-8"))
            tensors = load_file(folder / TENSORS)
            words = cls(
                tensors["vectors"],
                tensors["scales"].astype(np.float32),
                {word: place for place, word in enumerate(listed)},
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError) as exc:
            raise WordsError(f"{folder} holds no table of words: {exc}") from exc
        if not len(words.places) == len(words.vectors) == len(words.scales):
            raise WordsError(f"{folder}: {TENSORS} and {LIST} are not of one table.")
        return words

    @property
    def width(self) -> int:
        """The length of a vector."""
        return int(self.vectors.shape[1])

    def known(self, text: str) -> list[str]:
        """Return the words of the table in a text; "apples" may be found as "apple", "catfish" as two words."""
        return [part for word in WORD.findall(text.lower()) for part in self._parts(word)]

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return float32 (n, d), unit length; zeros for a text without a known word."""
        out = np.zeros((len(texts), self.width), np.float32)
        for i, text in enumerate(texts):
            rows = [self.places[word] for word in self.known(text)]
            if rows:
                some = np.array(rows)
                scales = self.scales[some] * word_weights(some)
                out[i] = scales @ self.vectors[some].astype(np.float32)
        return unit(out)

    def _parts(self, word: str) -> list[str]:
        if word in self.places:
            return [word]
        for ending, instead in ENDINGS:
            stem = word.removesuffix(ending) + instead
            if word.endswith(ending) and len(stem) >= LEAST_PART and stem in self.places:
                return [stem]
        for cut in range(len(word) - LEAST_PART, LEAST_PART - 1, -1):
            if word[:cut] in self.places and word[cut:] in self.places:
                return [word[:cut], word[cut:]]
        return []


def word_weights(places: npt.NDArray[np.int64]) -> Vectors:
    """Return the weights in a phrase of the words at these rows, 0 to 1: low for the most frequent."""
    return np.asarray((places + 1) / (places + 1 + HALF_RANK), np.float32)


def unit(vectors: Vectors) -> Vectors:
    """Return the vectors (..., d) scaled to unit length; zeros stay zeros."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(length, 1e-6), np.float32)


def split_words(texts: Iterable[str]) -> set[str]:
    """Return the words of two or more letters in the texts."""
    return {word for text in texts for word in WORD.findall(text.lower()) if len(word) > 1}
