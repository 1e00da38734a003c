"""Distills the table of words from the teacher: word by word, to fewer dimensions, in int8 steps."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from safetensors.numpy import save_file

from inference.pocket.words import LIST, TENSORS, Vectors, Words, split_words

WIDTH = 120
STEPS = 127
# From the teacher's spread of the axes (0) to an equal spread (1): strong axes describe style, not things.
EVENING = 0.5


class WordTeacher(Protocol):
    """The embedding that word vectors are distilled from."""

    def words(self) -> list[str]:
        """Return its whole words, most frequent first."""
        ...

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return float32 (n, any width)."""
        ...


def distil_words(teacher: WordTeacher, texts: Collection[str]) -> Words:
    """Return a table of the teacher's whole words and every word in `texts`; minutes on one CPU core.

    The axes are the principal components of the words in `texts`, which separate the things of the data set best.
    """
    own = split_words(texts)
    listed = list(dict.fromkeys([*teacher.words(), *sorted(own)]))
    vectors = teacher.embed(listed)
    places = {word: place for place, word in enumerate(listed)}
    vectors = vectors - vectors.mean(0)
    _, spread, axes = np.linalg.svd(vectors[sorted(places[word] for word in own)], full_matrices=False)
    width = min(WIDTH, len(spread))
    kept = vectors @ axes[:width].T / (spread[:width] / spread[0]) ** EVENING
    return _in_steps(kept.astype(np.float32), places)


def save_words(words: Words, folder: Path) -> None:
    """Write the two files of the table into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file({"vectors": words.vectors, "scales": words.scales.astype(np.float16)}, folder / TENSORS)
    (folder / LIST).write_text(json.dumps(list(words.places), separators=(",", ":")), encoding="utf-8")


def _in_steps(vectors: Vectors, places: dict[str, int]) -> Words:
    # Rounded as stored, so that a table in memory equals the one read back.
    scales = (np.abs(vectors).max(1) / STEPS).astype(np.float16).astype(np.float32)
    scales = np.maximum(scales, np.float32(1e-6))
    steps = np.clip(np.rint(vectors / scales[:, None]), -STEPS, STEPS).astype(np.int8)
    return Words(steps, scales, places)
