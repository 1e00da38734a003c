"""Takes apart words that were written without spaces, with the words of the rules and common ones."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from services.moderation.text_folding import Folded

COMMON_WORDS = Path(__file__).with_name("common_words.txt")
# Words that are not two words in one, although they can be read so.
WHOLE_WORDS = Path(__file__).with_name("whole_words.txt")
# How the stem of a term ("stem*") may end within such a word.
ENDINGS = (
    *(
        "",
        "s",
        "e",
        "d",
        "n",
        "t",
        "es",
        "ed",
        "er",
        "en",
        "em",
        "te",
        "ee",
        "ers",
        "ees",
        "ing",
        "ion",
        "ung",
        "ity",
    ),
    *(
        "tes",
        "ten",
        "ter",
        "ations",
        "ation",
        "ions",
        "ment",
        "ement",
        "ements",
        "ungen",
        "ings",
        "ling",
        "led",
        "ents",
    ),
)
# So short that they count at the end of a run only: "unenfantnu", but not "annuel".
LAST_WORDS = ("nu", "yo")
LONGEST_WORD = 24
# A name that begins with a term is not read as that term and something else.
FEWEST_WORDS, FEWEST_UNKNOWN = 2, 4
FEWEST_IN_STEM = 4
_RUN = re.compile(r"[a-z0-9]{4,}")
_DIGITS = re.compile(r"\d+")


class JoinedWords:
    """Words that are known, for finding them in runs of letters."""

    def __init__(self, terms: Iterable[str]) -> None:
        words = {word for term in terms for word in term.replace("{age}", "").split() if len(word) > 2}
        self.stems = frozenset(word.rstrip("*") for word in words if word.endswith("*"))
        words = {word.rstrip("*") for word in words}
        endings = {stem + ending for stem in self.stems if len(stem) >= FEWEST_IN_STEM for ending in ENDINGS}
        self.known = frozenset({*words, *endings, *_listed(COMMON_WORDS), *_listed(WHOLE_WORDS)})

    def apart(self, folded: Folded) -> Folded | None:
        """Return the text with a space between joined words, or None if there are none. Takes linear time."""
        text: list[str] = []
        starts: list[int] = []
        ends: list[int] = []
        read_to = 0
        for match in _RUN.finditer(folded.text):
            for place in self._boundaries(match[0]):
                at = match.start() + place
                text += [folded.text[read_to:at], " "]
                starts += [*folded.starts[read_to:at], folded.starts[at]]
                ends += [*folded.ends[read_to:at], folded.ends[at - 1]]
                read_to = at
        if not text:
            return None
        text.append(folded.text[read_to:])
        return Folded("".join(text), starts + folded.starts[read_to:], ends + folded.ends[read_to:])

    def _boundaries(self, run: str) -> list[int]:
        """Return where words begin after the first, in the reading with the fewest; none if the run is one word."""
        if run in self.known:
            return []
        fewest: list[int | None] = [0] + [None] * len(run)
        before = [0] * (len(run) + 1)
        furthest = 0
        for start in range(len(run)):
            count = fewest[start]
            if count is None:
                continue
            for end in self._ends(run, start):
                known = fewest[end]
                if known is None or count + 1 < known:
                    fewest[end], before[end] = count + 1, start
                    furthest = max(furthest, end)
        unknown = len(run) - furthest
        if (fewest[furthest] or 0) < FEWEST_WORDS or 0 < unknown < FEWEST_UNKNOWN:
            return []
        places = [furthest] if unknown else []
        while before[furthest]:
            furthest = before[furthest]
            places.append(furthest)
        return places[::-1]

    def _ends(self, run: str, start: int) -> list[int]:
        digits = _DIGITS.match(run, start)
        if digits:
            return [digits.end(), *([digits.end() + 2] if run.startswith("yo", digits.end()) else [])]
        most = min(len(run), start + LONGEST_WORD)
        found = [end for end in range(start + 1, most + 1) if run[start:end] in self.known]
        return [*found, len(run)] if run[start:] in LAST_WORDS else found


@lru_cache(maxsize=2)
def _listed(path: Path) -> frozenset[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return frozenset(word for line in lines if not line.startswith("#") for word in line.split())
