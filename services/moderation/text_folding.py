"""Folds text to what a reader sees: look-alikes, accents, invisible characters and long repeats; keeps spans."""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import NamedTuple

from services.moderation.look_alikes import FOLDED

# Longer runs of one character add no meaning; limiting them also limits the work of matching.
MAX_RUN = 3
# Blank characters that do not have the format category: fillers of Hangul, Braille and Arabic.
INVISIBLE = frozenset("\u115f\u1160\u3164\uffa0\u2800\u0640")


class Folded(NamedTuple):
    """Folded text, with the start and end of each of its characters in the original.

    A character's end includes the invisible and repeated characters after it.
    """

    text: str
    starts: list[int]
    ends: list[int]

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Return the span of the original that produced `start`..`end` of the folded text; end exclusive."""
        return self.starts[start], self.ends[end - 1]


@lru_cache(maxsize=8192)
def fold_character(character: str) -> str:
    """Return what a reader sees in one character, as small Latin letters if it resembles them; empty if invisible."""
    if character in FOLDED:
        return FOLDED[character]
    seen = []
    for part in unicodedata.normalize("NFKD", character):
        if _is_invisible(part):
            continue
        if part in FOLDED:
            seen.append(FOLDED[part])
            continue
        for letter in unicodedata.normalize("NFKD", part.casefold()):
            if not _is_invisible(letter):
                seen.append(FOLDED.get(letter) or _digit(letter))
    # One Arabic sign stands for eighteen letters, none of them Latin: to read each would only take time.
    return "".join(seen if any(letter.isascii() and letter.isalnum() for letter in seen) else seen[:1])


def _is_invisible(character: str) -> bool:
    return character in INVISIBLE or unicodedata.category(character) in ("Mn", "Me", "Cf")


def _digit(character: str) -> str:
    """Return the ASCII digit for a decimal digit of any script, and other characters as they are."""
    value = unicodedata.decimal(character, None)
    return character if value is None else str(value)


def fold_confusables(text: str) -> Folded:
    """Return `text` as a reader sees it, with runs of one character limited to MAX_RUN."""
    folded: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    for place, character in enumerate(text):
        for seen in fold_character(character):
            if folded[-MAX_RUN:] != [seen] * MAX_RUN:
                folded.append(seen)
                starts.append(place)
                ends.append(place)
        if ends:
            ends[-1] = place + 1
    return Folded("".join(folded), starts, ends)
