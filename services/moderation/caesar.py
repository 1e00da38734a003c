"""Finds by how many letters a text was shifted in the alphabet."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Iterable

FEWEST_LETTERS, FEWEST_IN_STEM, LONG_WORD, LONGEST_WORD = 4, 6, 7, 40
LETTERS = string.ascii_lowercase
_WORD = re.compile(r"[a-z]{4,}")


class Shifts:
    """The steps between the letters of known words: a shift does not change them."""

    def __init__(self, words: Iterable[str], stems: Iterable[str]) -> None:
        self._words = _by_steps(words, FEWEST_LETTERS)
        self._stems = _by_steps(stems, FEWEST_IN_STEM)

    def undone(self, text: str) -> str | None:
        """Return the text shifted back by what makes most of its words known, or None. Takes linear time.

        By chance, a short word is another one shifted: two different ones are needed where there are two.
        """
        words = set(_WORD.findall(text))
        votes = Counter[int]()
        for word in words:
            shifts = {(_place(word[0]) - first) % 26 for first in self._beginnings(word)}
            for shift in shifts:
                votes[shift] += 2 if len(word) >= LONG_WORD else 1
        if not votes:
            return None
        ((shift, count),) = votes.most_common(1)
        if shift == 0 or count < min(2, len(words)):
            return None
        return text.translate(str.maketrans(LETTERS, LETTERS[-shift:] + LETTERS[:-shift]))

    def _beginnings(self, word: str) -> set[int]:
        """Return with which letters a known word of the same steps begins."""
        steps = _to_a(word[:LONGEST_WORD])
        found = set(self._words.get(steps, ()))
        for length in range(FEWEST_IN_STEM, len(steps)):
            found |= self._stems.get(steps[:length], set())
        return found


def _by_steps(words: Iterable[str], fewest: int) -> dict[str, set[int]]:
    found: dict[str, set[int]] = {}
    for word in words:
        if len(word) >= fewest and word.isascii() and word.isalpha():
            found.setdefault(_to_a(word), set()).add(_place(word[0]))
    return found


def _place(letter: str) -> int:
    return ord(letter) - ord("a")


def _to_a(word: str) -> str:
    """Return the word shifted so that it begins with a."""
    by = _place(word[0])
    return word.translate(str.maketrans(LETTERS, LETTERS[-by:] + LETTERS[:-by])) if by else word
