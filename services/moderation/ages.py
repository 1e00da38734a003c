"""Finds ages under 18 in a text: in digits and in words of English, German and French, disguised or not."""

from __future__ import annotations

import re

from services.moderation.patterns import AGE_MARK, NOT_INSIDE, disguised, folded_terms
from services.moderation.text_folding import Folded

# "one", "un" and "ein" are articles far more often than ages.
WORDS = (
    *("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen"),
    *("fourteen", "fifteen", "sixteen", "seventeen"),
    *("zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun", "zehn", "elf", "zwölf", "dreizehn"),
    *("vierzehn", "fünfzehn", "sechzehn", "siebzehn"),
    *(
        "deux",
        "trois",
        "quatre",
        "cinq",
        "sept",
        "huit",
        "neuf",
        "dix",
        "onze",
        "douze",
        "treize",
        "quatorze",
    ),
    *("quinze", "seize"),
)
_WORDS = disguised(folded_terms([*WORDS, "dix sept"]))
# German writes the word and its ending in one: zwölfjährig.
_JOINED = re.compile(
    f"{NOT_INSIDE}(?:{'|'.join(sorted(folded_terms(WORDS), key=len, reverse=True))})(?=jahrig|jaehrig)"
)
# Before the endings of "12yo", "9yr", "12jährig" and "12ans"; "4ged" is a disguised word.
_DIGITS = re.compile(
    r"(?<![^\W_])(?<!\d[.,])(?:1(?:[^\w\s]|_){0,2}[0-7]|[1-9])(?=[\W_]|$|y|jah|jae|ans|j[\W_]|mo)(?![.,]\d)"
)


def with_ages(folded: Folded) -> Folded:
    """Return the text with AGE_MARK for each age; its spans are those of the ages."""
    found = sorted(
        (match.span() for pattern in (_DIGITS, _JOINED, _WORDS) for match in pattern.finditer(folded.text)),
        key=lambda span: (span[0], -span[1]),
    )
    text: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    read_to = 0
    for start, end in found:
        if start < read_to:
            continue
        text += [*folded.text[read_to:start], AGE_MARK]
        starts += [*folded.starts[read_to:start], folded.starts[start]]
        ends += [*folded.ends[read_to:start], folded.ends[end - 1]]
        read_to = end
    text += folded.text[read_to:]
    return Folded("".join(text), starts + folded.starts[read_to:], ends + folded.ends[read_to:])
