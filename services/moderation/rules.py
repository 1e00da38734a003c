"""Checks whether a text requests something the studio does not draw, by the rules in `rules.toml`."""

from __future__ import annotations

import re
import threading
import tomllib
from bisect import bisect_right
from collections.abc import Iterator
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, TypeAdapter, model_validator

from services.errors import Moderated
from services.moderation.ages import WORDS as NUMBERS
from services.moderation.ages import with_ages
from services.moderation.caesar import Shifts
from services.moderation.joined_words import JoinedWords
from services.moderation.patterns import (
    AGE,
    FEWEST_LETTERS,
    FEWEST_OF_TWO,
    SIGNS,
    disguised,
    exact,
    folded_terms,
    followed,
    inside_long_words,
    long_enough,
    run_together,
)
from services.moderation.readings import Reading, readings
from services.moderation.text_folding import Folded, fold_confusables
from services.records import Record
from services.sentences import sentence

# Names of the text to change, for use within a sentence.
TEXTS = {"prompt": sentence("the prompt"), "negative_prompt": sentence("the negative prompt")}
MINORS = "sexual_minors"
RULES_FILE = Path(__file__).with_name("rules.toml")

# Single letters with a space between each are one word.
WORD = re.compile(r"\S{2,}|\S(?:\s\S(?!\S))*")
_TERM = re.compile(
    r"(?:(?:\{age\})?[a-z0-9äöüàâæçéèêëîïôœùûÿß]*\*?)(?: (?:\{age\})?[a-z0-9äöüàâæçéèêëîïôœùûÿß]*\*?)*"
)


# No such word may stand between the two of an innocent pair.
PEOPLE = (
    *(
        "girl*",
        "boy*",
        "woman",
        "women",
        "man",
        "men",
        "person*",
        "people",
        "model*",
        "daughter*",
        "son",
        "sons",
    ),
    *("sister*", "brother*", "lady", "mädchen*", "frau*", "junge*", "fille*", "femme*", "garçon*"),
)


class Rule(Record):
    """A subject the studio does not draw. The rules file explains the fields."""

    id: str
    category: str
    about: str
    terms: tuple[str, ...] = ()
    together: Annotated[tuple[tuple[str, ...], ...], Field(max_length=2)] = ()
    within_words: Annotated[int, Field(ge=1)] = 10
    innocent: tuple[str, ...] = ()
    innocent_pairs: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = ()
    beside: tuple[str, ...] = ()
    things: tuple[str, ...] = ()
    victims: tuple[str, ...] = ()
    beside_words: Annotated[int, Field(ge=1)] = 8

    def all_terms(self) -> tuple[str, ...]:
        """Return the terms of all lists that refuse."""
        return (*self.terms, *(term for side in self.together for term in side))

    @model_validator(mode="after")
    def _matches_something(self) -> Self:
        if not self.terms and len(self.together) != 2:
            raise ValueError(f"rule {self.id} needs `terms`, or two lists in `together`")
        pairs = (each for pair in self.innocent_pairs for side in pair for each in side)
        sides = (term for side in self.together for term in side)
        for term in [*self.terms, *sides, *self.innocent, *pairs, *self.beside, *self.things, *self.victims]:
            if not _TERM.fullmatch(term) or not all(word.strip("*") for word in term.split(" ")):
                raise ValueError(
                    f"rule {self.id}: {term!r} must be small letters or digits, single spaces, with at most one * at "
                    "the end of a word and one {age} at its beginning"
                )
        return self


class Moderation:
    """The compiled rules. Thread-safe; texts are checked one at a time.

    A check only computes, for up to 0.5 s. Several at once would not end sooner, and would hold up every other thread.
    """

    def __init__(self, rules: tuple[Rule, ...]) -> None:
        self._rules = tuple(map(_compiled, rules))
        terms = (term for rule in rules for term in rule.all_terms())
        self._words = JoinedWords(folded_terms([*NUMBERS, *terms]))
        self._shifts = Shifts(self._words.known, self._words.stems)
        self._turn = threading.Lock()

    @classmethod
    def load(cls, path: Path = RULES_FILE) -> Moderation:
        """Reads and compiles a rules file; the studio's rules for minors always apply with it.

        Raises pydantic's ValueError naming every invalid field.
        """
        try:
            tables = tomllib.loads(path.read_text(encoding="utf-8"))
        except RecursionError:
            raise ValueError(f"{path.name} is nested too deeply") from None
        rules = TypeAdapter(tuple[Rule, ...]).validate_python(tables["rule"])
        if path != RULES_FILE:
            rules = (*_rules_for_minors(), *rules)
        return cls(rules)

    def check(self, text: str, *, param: str) -> None:
        """Raises Moderated for the first rule that `text` breaks.

        The error's span indexes the original `text`; `param` is the field it came from.
        """
        with self._turn:
            self._check(text, param=param)

    def _check(self, text: str, *, param: str) -> None:
        whole = _Text(fold_confusables(text))
        others = [(_Text(_folded(reading)), reading.certain) for reading in readings(text)]
        to_part = [whole, *(other for other, is_certain in others if is_certain)]
        apart = [self._words.apart(each.plain) for each in to_part]
        others += [(_Text(folded), False) for folded in apart if folded]
        shifted = self._shifts.undone(whole.plain.text)
        if shifted:
            others.append((_Text(whole.plain._replace(text=shifted)), False))
        for compiled in self._rules:
            span = compiled.find(whole)
            for other, certain in others:
                span = span or compiled.find(other, certain=certain)
            if span is not None:
                rule = compiled.rule
                raise Moderated(
                    sentence(
                        "This studio does not draw {about}. Reword {what} at characters {first} to {last}.",
                        about=sentence(rule.about),
                        what=TEXTS.get(param, f"the {param.replace('_', ' ')}"),
                        first=span[0] + 1,
                        last=span[1],
                    ),
                    param=param,
                    rule=rule.id,
                    category=rule.category,
                    span=span,
                )


def _rules_for_minors() -> tuple[Rule, ...]:
    tables = tomllib.loads(RULES_FILE.read_text(encoding="utf-8"))
    rules = TypeAdapter(tuple[Rule, ...]).validate_python(tables["rule"])
    return tuple(rule for rule in rules if rule.category == MINORS)


def _folded(reading: Reading) -> Folded:
    """Return the folded text of a reading, with the spans of the original."""
    folded = fold_confusables(reading.text)
    return Folded(
        folded.text,
        [reading.starts[place] for place in folded.starts],
        [reading.ends[place - 1] for place in folded.ends],
    )


@lru_cache(maxsize=64)
def _compiled(rule: Rule) -> _CompiledRule:
    """Compiles a rule once for each process: all of them take half a second."""
    return _CompiledRule(rule)


class _CompiledRule:
    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        sides = (rule.terms,) if rule.terms else rule.together
        fewest = FEWEST_LETTERS if rule.terms else FEWEST_OF_TWO
        self._sides = tuple(_Side(folded_terms(terms), fewest) for terms in sides)
        self._inside = inside_long_words(folded_terms(rule.terms))
        self._joined = run_together(*map(folded_terms, rule.together)) if rule.together else None
        people = folded_terms([*PEOPLE, *NUMBERS, *(rule.together[0] if rule.together else ())])
        pairs = [(folded_terms(first), folded_terms(second)) for first, second in rule.innocent_pairs]
        self._innocent = [exact(folded_terms(rule.innocent)), *(followed(*pair, people) for pair in pairs)]
        lists = (rule.beside, rule.things, rule.victims)
        self._beside, self._things, self._victims = (exact(folded_terms(terms)) for terms in lists)

    def find(self, text: _Text, *, certain: bool = True) -> tuple[int, int] | None:
        """Return start and end in the original text of the first match of the rule, or None.

        Only long terms as they are count unless `certain`.
        """
        sides = [side.found(text, certain=certain) for side in self._sides]
        if self._inside and not sides[0]:
            sides[0] = [text.plain.span(*match.span()) for match in self._inside.finditer(text.plain.text)]
        innocent = self._innocent_places(text) if any(sides) else []
        left = [[span for span in found if not _within(span, innocent)] for found in sides]
        if len(left) == 1:
            return self._unexplained(text, left[0])
        for a in left[0]:
            for b in left[1]:
                start, end = min(a[0], b[0]), max(a[1], b[1])
                if text.words_between(start, max(a[0], b[0])) <= self.rule.within_words:
                    return start, end
        return _first(self._joined, text)

    def _innocent_places(self, text: _Text) -> list[tuple[int, int]]:
        return [
            reading.span(*match.span())
            for reading in (text.plain, text.aged)
            for pattern in self._innocent
            if pattern
            for match in pattern.finditer(reading.text)
        ]

    def _unexplained(self, text: _Text, found: list[tuple[int, int]]) -> tuple[int, int] | None:
        """Return the first match that no word beside it shows to be meant otherwise, or None."""
        if not found:
            return None
        beside, things, victims = (
            [text.plain.span(*match.span()) for match in pattern.finditer(text.plain.text)] if pattern else []
            for pattern in (self._beside, self._things, self._victims)
        )
        reach = self.rule.beside_words
        for span in found:
            to_thing = text.words_to(span, things, reach)
            explained = text.words_to(span, beside, reach) <= reach or (
                to_thing <= reach and to_thing < text.words_to(span, victims, reach)
            )
            if not explained:
                return span
        return None


class _Text:
    """A text to check, folded, with its ages marked where a rule asks for them. All spans are those of the original."""

    def __init__(self, folded: Folded) -> None:
        self.plain = folded

    @cached_property
    def aged(self) -> Folded:
        return with_ages(self.plain)

    @cached_property
    def _words(self) -> list[int]:
        return sorted(self.plain.starts[match.start()] for match in WORD.finditer(self.plain.text))

    def words_between(self, start: int, end: int) -> int:
        """Return how many words begin after the first place, up to the second."""
        return bisect_right(self._words, end) - bisect_right(self._words, start)

    def words_to(self, span: tuple[int, int], others: list[tuple[int, int]], most: int) -> int:
        """Return how many words are between a span and the nearest of the others, or more than `most`.

        `others` are sorted; only the neighbors are looked at.
        """
        at = bisect_right(others, span)
        apart = [
            self.words_between(min(span[0], other[0]), max(span[0], other[0]))
            for other in others[max(0, at - 1) : at + 1]
        ]
        return min([*apart, most + 1])


class _Side:
    """The patterns of one list of terms: those without ages, and those with."""

    def __init__(self, terms: tuple[str, ...], fewest: int) -> None:
        groups = ([term for term in terms if AGE not in term], [term for term in terms if AGE in term])
        self._disguised = tuple(disguised(group) if group else None for group in groups)
        self._exact = tuple(exact(long_enough(group, fewest)) for group in groups)

    def found(self, text: _Text, *, certain: bool) -> list[tuple[int, int]]:
        """Return the spans of all matches."""
        plain, aged = self._disguised if certain else self._exact
        found = [text.plain.span(*span) for span in _matches(plain, text.plain.text)]
        if aged is not None:
            found += [text.aged.span(*span) for span in _matches(aged, text.aged.text)]
        return sorted(found)


def _first(pattern: re.Pattern[str] | None, text: _Text) -> tuple[int, int] | None:
    match = pattern.search(text.plain.text) if pattern else None
    return text.plain.span(*match.span()) if match else None


def _within(span: tuple[int, int], others: list[tuple[int, int]]) -> bool:
    return any(start <= span[0] and span[1] <= end for start, end in others)


def _matches(pattern: re.Pattern[str] | None, text: str) -> Iterator[tuple[int, int]]:
    for match in pattern.finditer(text) if pattern else ():
        letters = sum(character.isalpha() for character in match[0])
        # "1011" is a number: at least a quarter of a disguised word, and two characters, must be letters.
        if letters >= 2 and 4 * letters >= sum(
            character.isalnum() or character in SIGNS for character in match[0]
        ):
            yield match.span()
