"""Checks whether a text requests something the studio does not draw, by the rules in `rules.toml`."""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, TypeAdapter, model_validator

from services.errors import Moderated
from services.moderation.text_folding import MAX_RUN, Folded, fold_confusables
from services.records import Record
from services.sentences import sentence

# Names of the text to change, for use within a sentence.
TEXTS = {"prompt": sentence("the prompt"), "negative_prompt": sentence("the negative prompt")}
RULES_FILE = Path(__file__).with_name("rules.toml")

# Digits and signs that stand for letters; `*` stands for any vowel.
STAND_INS = {
    "a": "4@*",
    "b": "8",
    "e": "3*",
    "g": "9",
    "i": "1!|*",
    "l": "1|",
    "o": "0*",
    "s": "5$",
    "t": "7+",
    "u": "*",
    "z": "2",
}
SIGNS = "@*!|$+"
AGE = "{age}"
AGES = "(?:1[0-7]|[1-9]|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen)"
WORD = re.compile(r"\S+")
NOT_INSIDE = r"(?<![^\W_])"
NOT_BEFORE = r"(?![^\W_])"
# How "stem*" continues: with letters, or with single letters spaced like those of the stem.
TIGHT_ENDING = r"[^\W_]{0,20}(?:(?:[^\w\s]|_){1,4}[^\W_](?![^\W_])){0,12}"
SPREAD_ENDING = r"(?:[\W_]{1,6}[^\W_](?![^\W_])){0,12}"
# "g r a p e" spells another word; the letters a and i also stand alone in a sentence.
NOT_SPELLED_BEFORE = r"(?<![\W_][b-hj-z][\W_])(?<!^[b-hj-z][\W_])"
NOT_SPELLED_AFTER = r"(?![\W_]{1,2}[b-hj-z](?:[\W_]|$))"


class Rule(Record):
    """A subject the studio does not draw. The rules file explains the fields."""

    id: str
    category: str
    about: str
    terms: tuple[str, ...] = ()
    together: Annotated[tuple[tuple[str, ...], ...], Field(max_length=2)] = ()
    within_words: Annotated[int, Field(ge=1)] = 10
    innocent: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _matches_something(self) -> Self:
        if not self.terms and len(self.together) != 2:
            raise ValueError(f"rule {self.id} needs `terms`, or two lists in `together`")
        for term in [*self.terms, *(term for side in self.together for term in side), *self.innocent]:
            if not re.fullmatch(r"(?:\{age\})?[a-z]*(?: [a-z]+)*\*?", term) or not term.strip("*"):
                raise ValueError(
                    f"rule {self.id}: {term!r} must be small letters, single spaces, at most one * at the end and "
                    "one {age} at the beginning"
                )
        return self


class Moderation:
    """The compiled rules. Stateless and thread-safe."""

    def __init__(self, rules: tuple[Rule, ...]) -> None:
        self._rules = tuple(_CompiledRule(rule) for rule in rules)

    @classmethod
    def load(cls, path: Path = RULES_FILE) -> Moderation:
        """Reads and compiles a rules file. Raises pydantic's ValueError naming every invalid field."""
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
        return cls(TypeAdapter(tuple[Rule, ...]).validate_python(tables["rule"]))

    def check(self, text: str, *, param: str) -> None:
        """Raises Moderated for the first rule that `text` breaks.

        The error's span indexes the original `text`; `param` is the field it came from.
        """
        folded = fold_confusables(text)
        for compiled in self._rules:
            found = compiled.find(folded)
            if found is not None:
                rule, span = compiled.rule, folded.span(*found)
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


class _CompiledRule:
    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self._terms = _pattern(rule.terms)
        self._together = tuple(_pattern(side) for side in rule.together)
        phrases = "|".join(re.escape(phrase).replace(r"\ ", r"[\W_]+") for phrase in rule.innocent)
        self._innocent = re.compile(f"{NOT_INSIDE}(?:{phrases}){NOT_BEFORE}") if phrases else None

    def find(self, folded: Folded) -> tuple[int, int] | None:
        """Return start and end in the folded text of the first match of the rule, or None."""
        innocent = [m.span() for m in self._innocent.finditer(folded.text)] if self._innocent else []
        if self.rule.terms:
            return next(_matches(self._terms, folded.text, innocent), None)
        first = list(_matches(self._together[0], folded.text, innocent))
        second = list(_matches(self._together[1], folded.text, innocent)) if first else []
        words = [match.start() for match in WORD.finditer(folded.text)] if second else []
        for a in first:
            for b in second:
                start, end = min(a[0], b[0]), max(a[1], b[1])
                if (
                    bisect_right(words, max(a[0], b[0])) - bisect_right(words, start)
                    <= self.rule.within_words
                ):
                    return start, end
        return None


def _matches(
    pattern: re.Pattern[str], text: str, innocent: list[tuple[int, int]]
) -> Iterator[tuple[int, int]]:
    for match in pattern.finditer(text):
        start, end = match.span()
        letters = sum(character.isalpha() for character in match[0])
        # "1011" is a number: at least a third of a disguised word, and two characters, must be letters.
        if letters < 2 or 3 * letters < sum(
            character.isalnum() or character in SIGNS for character in match[0]
        ):
            continue
        if not any(a <= start and end <= b for a, b in innocent):
            yield start, end


def _pattern(terms: tuple[str, ...]) -> re.Pattern[str]:
    """Return a pattern that matches any term as whole words, disguised or not, in folded text."""
    tight = "|".join(_form(term, spread=False) for term in terms)
    spread = "|".join(_form(term, spread=True) for term in terms)
    return re.compile(
        f"{NOT_INSIDE}(?:{tight})|{NOT_INSIDE}{NOT_SPELLED_BEFORE}(?:{spread}){NOT_SPELLED_AFTER}"
    )


def _form(term: str, *, spread: bool) -> str:
    words = [_word(word, spread=spread) for word in term.rstrip("*").split(" ")]
    ending = (SPREAD_ENDING if spread else TIGHT_ENDING) if term.endswith("*") else ""
    return r"[\W_]{1,6}".join(words) + ending + NOT_BEFORE


def _word(word: str, *, spread: bool) -> str:
    """Match each letter or its stand-in, once or repeated, with punctuation between or (spread) gaps everywhere.

    Signs do not stand for the last letter, where they are punctuation ("lol!"), nor a star for the first.
    """
    age, letters = (AGES, word.removeprefix(AGE)) if word.startswith(AGE) else ("", word)
    runs = [(letter, len(list(same))) for letter, same in groupby(letters)]
    pattern = age
    for place, (letter, count) in enumerate(runs):
        stand_ins = STAND_INS.get(letter, "")
        if place == len(runs) - 1:
            stand_ins = "".join(sign for sign in stand_ins if sign not in SIGNS)
        elif place == 0:
            stand_ins = stand_ins.replace("*", "")
        some = f"[{letter}{re.escape(stand_ins)}]{{1,{MAX_RUN}}}"
        pattern += some + f"(?:{_gap(letter, letter, spread=spread)}{some})?" * (count - 1)
        if place < len(runs) - 1:
            pattern += _gap(letter, runs[place + 1][0], spread=spread)
    return pattern


def _gap(left: str, right: str, *, spread: bool) -> str:
    """Match what may separate two letters, except stand-ins for either of them, so that matches are unambiguous."""
    both = STAND_INS.get(left, "") + STAND_INS.get(right, "")
    taken = re.escape("".join(sign for sign in SIGNS if sign in both))
    return f"(?:[^\\w{taken}]|_){{1,6}}" if spread else f"(?:[^\\w\\s{taken}]|_){{0,4}}"
