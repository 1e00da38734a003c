"""A search query: the typed words, split as the index splits texts, and the filters."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Literal, get_args

from services.errors import InvalidRequest
from services.images.marks import HIGHEST_RATING
from services.records import Image
from services.sentences import sentence

Sort = Literal["newest", "oldest", "rating"]
SORTS: tuple[Sort, ...] = get_args(Sort)
LONGEST_SEARCH = 200
MOST_TERMS = 16
# Vowel points and accents that people omit when typing, and variation selectors of emoji; marks that
# make another letter (kana, Indic) stay.
_POINTS = re.compile("[\u0300-\u036f\u0591-\u05c7\u064b-\u0652\u0670\ufe00-\ufe0f]")
# Quotation marks of other languages, which telephones and word processors put in by themselves, and their dashes.
_TYPED = str.maketrans(
    dict.fromkeys("“”„‟«»「」\uff02", '"') | dict.fromkeys("\u2010\u2011\u2012\u2013\u2212", "-")
)
_ASCII_WORD = re.compile(r"[a-z0-9]+")
_WITH_MARK = re.compile(r"LATIN SMALL LETTER ([A-Z]) WITH .*")
# Latin letters that Unicode does not decompose, and how people type them on other keyboards.
_SPELLED = {"æ": "ae", "œ": "oe", "ð": "d", "þ": "th", "\u0131": "i", "ĸ": "k", "ŋ": "n", "ȷ": "j"}
_TERM = re.compile(r'(-?)(?:"([^"]*)(?:"|$)|(\S+))')
# Scripts written without spaces, and Korean, whose particles are attached to words: any part of a word matches.
_WITHOUT_SPACES = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uac00-\ud7a3\uf900-\ufaff\U00020000-\U0003ffff]"
)


def _base_letters() -> dict[int, str]:
    """Return the Latin letters with a stroke, hook or the like by the letter that they are a form of."""
    letters = map(
        chr, (*range(0x80, 0x250), *range(0x1E00, 0x1F00), *range(0x2C60, 0x2C80), *range(0xA720, 0xA800))
    )
    marked = {each: _WITH_MARK.fullmatch(unicodedata.name(each, "")) for each in letters}
    return {ord(each): found[1].lower() for each, found in marked.items() if found} | {
        ord(each): letter for each, letter in _SPELLED.items()
    }


_BASE_LETTERS = _base_letters()


@dataclass(frozen=True)
class Term:
    """One search term: consecutive words. The last one matches as a prefix unless `exact`.

    Not `wanted` means that a picture must not contain it.
    """

    words: tuple[str, ...]
    exact: bool = False
    wanted: bool = True


@dataclass(frozen=True)
class PictureQuery:
    """A filter and order for the user's pictures; the defaults match every picture.

    `text` is what was typed: word prefixes that must all occur in prompt, tags or model; "some words" in a row; -word
    to exclude. `since` and `until` are UTC days, both inclusive; `album` is an album's id.
    """

    text: str = ""
    model: str | None = None
    tag: str | None = None
    album: str | None = None
    since: date | None = None
    until: date | None = None
    favorites: bool = False
    rating: int = 0
    sort: Sort = "newest"

    def terms(self) -> tuple[Term, ...]:
        """Return the parsed text. Raises InvalidRequest (param "text") for one that is too long."""
        if len(self.text) > LONGEST_SEARCH:
            raise InvalidRequest(
                sentence(
                    "The search has {count} characters; at most {most} are possible.",
                    count=len(self.text),
                    most=LONGEST_SEARCH,
                ),
                param="text",
            )
        found = tuple(_terms(self.text))
        if len(found) > MOST_TERMS:
            raise InvalidRequest(
                sentence(
                    "The search has {count} words; at most {most} are possible.",
                    count=len(found),
                    most=MOST_TERMS,
                ),
                param="text",
            )
        return found

    def check(self) -> None:
        """Raises InvalidRequest for an invalid query."""
        self.terms()
        if not 0 <= self.rating <= HIGHEST_RATING:
            raise InvalidRequest(sentence("The rating is 0 to {most}.", most=HIGHEST_RATING), param="rating")
        if self.since and self.until and self.since > self.until:
            raise InvalidRequest("The first day of the search is after its last.", param="since")
        if self.sort not in SORTS:
            raise InvalidRequest(
                sentence("The order is one of: {names}.", names=", ".join(SORTS)), param="sort"
            )


@dataclass(frozen=True)
class Found:
    """A page of results. `before` of `total` pictures come before it; `next` is the cursor of the next page."""

    items: tuple[Image, ...]
    total: int
    before: int = 0
    next: str | None = None


@dataclass(frozen=True)
class Shelf:
    """The number of pictures in an album, and the id of the newest one."""

    count: int
    newest: str


@dataclass(frozen=True)
class Facets:
    """Filter values with counts: numbers of pictures by tag and by model, in order of the names;
    albums by id."""

    total: int = 0
    tags: tuple[tuple[str, int], ...] = ()
    models: tuple[tuple[str, int], ...] = ()
    albums: tuple[tuple[str, Shelf], ...] = ()


def words_of(text: str) -> list[str]:
    """Return the words of a text normalized for comparison: without case, accents and punctuation.

    Text written without spaces gives one word per character, and so do signs and emoji.
    """
    if text.isascii():
        return _ASCII_WORD.findall(text.lower())
    bare = _POINTS.sub("", unicodedata.normalize("NFKD", text.casefold())).translate(_BASE_LETTERS)
    plain = unicodedata.normalize("NFKC", bare).casefold()
    return "".join(_spread(plain)).split()


def _spread(text: str) -> Iterator[str]:
    for character in text:
        category = unicodedata.category(character)
        if category == "So" or _WITHOUT_SPACES.match(character):
            yield f" {character} "
        elif category[0] in "LNM":
            yield character
        else:
            yield " "


def _terms(text: str) -> Iterator[Term]:
    for minus, quoted, bare in _TERM.findall(text.translate(_TYPED)):
        if words := words_of(quoted or bare):
            yield Term(tuple(words), exact=bool(quoted), wanted=not minus)
