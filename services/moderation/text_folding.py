"""Folds text to what a reader sees: look-alikes, accents, invisible characters and long repeats; keeps spans."""

from __future__ import annotations

import string
import unicodedata
from functools import lru_cache
from typing import NamedTuple

# Longer runs of one character add no meaning; limiting them also limits the work of matching.
MAX_RUN = 3
# Blank characters that do not have the format category: fillers of Hangul, Braille and Arabic.
INVISIBLE = frozenset("\u115f\u1160\u3164\uffa0\u2800\u0640")

# Lower-case letters of other scripts that look like Latin letters and that compatibility decomposition does not change
# (after Unicode's confusables.txt, revision 16; single letters only).
LOOK_ALIKES = {
    "a": "\u0430\u03b1\u0251\u1d00\u2c65\ua4ee\u13aa\uab7a",
    "b": "\u0432\u03b2\u0253\u0299\u1d03\u044c\u0180\u13cf",
    "c": "\u0441\u03f2\u1d04\u0188\u2184\u023c\u13df\uabaf",
    "d": "\u0501\u0257\u1d05\u0111\u0256\u13a0\uab70",
    "e": "\u0435\u03b5\u0454\u1d07\u025b\u0247\u0511\u04bd\u212e\u13ac\uab7c",
    "f": "\u03dd\u0192\ua730\u0584",
    "g": "\u0581\u0261\u0262\u01e5\u0260\u13c0",
    "h": "\u04bb\u0570\u029c\u043d\u0127\u0266\u13bb\uab8b",
    "i": "\u0456\u03b9\u0131\u0269\u026a\u0268\u04cf\u1d7b\u13a5",
    "j": "\u0458\u03f3\u1d0a\u0249\u0575\u13ab",
    "k": "\u043a\u03ba\u1d0b\u0199\u051f\u13e6",
    "l": "\u029f\u0142\u019a\u026b\u2113\u053c\u13de",
    "m": "\u043c\u1d0d\u0271\u03fb\u13b7\uab87",
    "n": "\u0578\u0274\u043f\u03b7\u057c\u0272\u014b\u0438",
    "o": "\u043e\u03bf\u03c3\u0585\u1d0f\u00f8\u0275\u0ce6\u0d20",
    "p": "\u0440\u03c1\u1d18\u01a5\u1d7d\u03f7\u13e2\uabb2",
    "q": "\u051b\u0566\u024b\u02a0",
    "r": "\u0280\u0433\u1d26\u024d\u027e\u0491\u13a1\uab71",
    "s": "\u0455\ua731\u0282\u01bd\u054f\u13da\uabaa",
    "t": "\u0442\u03c4\u1d1b\u0167\u01ad\u0288\u13a2\uab72",
    "u": "\u03c5\u057d\u1d1c\u0446\u0289\u028b\u144c",
    "v": "\u03bd\u0475\u1d20\u0474\u13d9\uaba9",
    "w": "\u051d\u0461\u1d21\u03c9\u0561\u13b3\uab83",
    "x": "\u0445\u03c7\u04b3\u2179\u166e",
    "y": "\u0443\u04af\u03b3\u028f\u01b4\u024f\u13bd",
    "z": "\u1d22\u01b6\u0225\u0290\u13c3\uab93",
}
# Negative circled, negative squared and regional-indicator letters: whole alphabets without a decomposition.
ALPHABETS = (0x1F150, 0x1F170, 0x1F1E6)
FOLDED = {other: letter for letter, others in LOOK_ALIKES.items() for other in others} | {
    chr(first + offset): letter for first in ALPHABETS for offset, letter in enumerate(string.ascii_lowercase)
}


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
    seen = []
    for part in unicodedata.normalize("NFKD", character):
        if part in INVISIBLE or unicodedata.category(part) in ("Mn", "Me", "Cf"):
            continue
        for letter in unicodedata.normalize("NFKD", part.casefold()):
            if unicodedata.category(letter) not in ("Mn", "Me", "Cf"):
                seen.append(FOLDED.get(letter, letter))
    return "".join(seen)


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
