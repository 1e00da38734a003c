"""Builds the patterns of terms: as they are, and disguised with other signs, gaps and repeats."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import groupby

from services.moderation.text_folding import MAX_RUN, fold_confusables

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
    "y": "*",
    "z": "2",
}
SIGNS = "@*!|$+"
PUNCTUATION = "!|+"
AGE = "{age}"
# What `with_ages` of `ages` writes for an age: a letter that no other text has.
AGE_MARK = "\u01c0"
NOT_INSIDE = r"(?<![^\W_])"
NOT_BEFORE = r"(?![^\W_])"
# How "stem*" continues: with letters, or with single letters spaced like those of the stem.
TIGHT_ENDING = r"[^\W_]{0,40}(?:(?:[^\w\s]|_){1,4}[^\W_](?![^\W_])){0,12}"
SPREAD_ENDING = r"(?:[\W_]{1,6}[^\W_](?![^\W_])){0,12}"
EXACT_ENDING = r"[^\W_]{0,20}"
# "g r a p e" spells another word; the letters a and i also stand alone in a sentence.
NOT_SPELLED_BEFORE = r"(?<![\W_][b-hj-z][\W_])(?<!^[b-hj-z][\W_])"
NOT_SPELLED_AFTER = r"(?!(?:[\W_]|, )[b-hj-z](?:[\W_]|$))"
# Shorter words occur by chance: in ciphers alone or two of them, in words that were run together, in long ones.
FEWEST_LETTERS, FEWEST_OF_TWO, FEWEST_JOINED, FEWEST_INSIDE = 4, 2, 4, 8
LONG_WORD = 10
_GAP_IN_A_PHRASE = r"(?: |_|['\u2019-])"
# "a topless 1967 Mustang", but nothing with an age: "f13".
_WORD_BETWEEN = r"(?:[^\W\d_]{1,20}|\d{3,4}(?![^\W_]))"
_FUNCTION_WORDS = (
    "a|an|the|at|on|in|into|by|with|without|near|next|beside|besides|under|over|behind|before|and|or|for|of|to|from|is|are|her|his|"
    "am|an|auf|im|mit|ohne|und|oder|neben|vor|unter|hinter|der|die|das|ein|eine|einem|"
    "a|au|aux|dans|sur|sous|avec|sans|et|ou|pres|le|la|les|un|une|des|du|de"
)
_UMLAUTS = {"ä": "ae", "ö": "oe", "ü": "ue"}


def folded_terms(terms: Iterable[str]) -> tuple[str, ...]:
    """Return the terms as texts are folded: without accents, and also with ae, oe, ue for ä, ö, ü."""
    found = []
    for term in terms:
        spelled = "".join(_UMLAUTS.get(letter, letter) for letter in term)
        found += [fold_confusables(each).text for each in (term, spelled)]
    return tuple(dict.fromkeys(found))


def disguised(terms: Sequence[str]) -> re.Pattern[str]:
    """Return a pattern that matches any folded term as whole words, disguised or not, in folded text."""
    tight = _by_first_letter(terms, lambda term: _form(term, spread=False))
    spread = _by_first_letter(terms, lambda term: _form(term, spread=True))
    return re.compile(
        f"{NOT_INSIDE}(?:{tight})|{NOT_INSIDE}{NOT_SPELLED_BEFORE}(?:{spread}){NOT_SPELLED_AFTER}"
    )


def exact(terms: Iterable[str]) -> re.Pattern[str] | None:
    """Return a pattern that matches any folded term as whole words, or None without terms."""
    forms = "|".join(_plain(term) + NOT_BEFORE for term in terms)
    return re.compile(f"{NOT_INSIDE}(?:{forms})") if forms else None


def followed(first: Sequence[str], second: Sequence[str], never: Sequence[str]) -> re.Pattern[str]:
    """Return a pattern that matches a term of `first` and then one of `second`, in one phrase.

    At most two words are between, none of `never`, no age, and no comma: "nude, at the beach" is not "nude beach".
    """
    one, other, people = ("|".join(map(_plain, terms)) for terms in (first, second, never))
    between = rf"(?:{_GAP_IN_A_PHRASE}(?!(?:{people}|{_FUNCTION_WORDS}){NOT_BEFORE}){_WORD_BETWEEN}){{0,2}}"
    return re.compile(f"{NOT_INSIDE}(?:{one}){NOT_BEFORE}{between}{_GAP_IN_A_PHRASE}(?:{other}){NOT_BEFORE}")


def run_together(first: Sequence[str], second: Sequence[str]) -> re.Pattern[str]:
    """Return a pattern that matches a term of each list in one word, in either order, disguised or not."""
    sides = [
        [
            term.replace(" ", "").replace("*", "")
            for term in terms
            if AGE not in term and _letters(term) >= FEWEST_JOINED
        ]
        for terms in (first, second)
    ]
    one, other = (_by_first_letter(terms, lambda term: _word(term, spread=False)) for terms in sides)
    plain_one, plain_other = ("|".join(map(re.escape, terms)) for terms in sides)
    # In a sentence without spaces, the two are anywhere.
    inside = f"(?:{plain_one})[a-z]{{0,12}}?(?:{plain_other})|(?:{plain_other})[a-z]{{0,12}}?(?:{plain_one})"
    return re.compile(
        f"{NOT_INSIDE}(?:(?:{one})(?:{other})|(?:{other})(?:{one})){EXACT_ENDING}{NOT_BEFORE}"
        f"|{NOT_INSIDE}(?=[a-z]{{{LONG_WORD}}})[a-z]{{0,60}}?(?:{inside})"
    )


def inside_long_words(terms: Iterable[str]) -> re.Pattern[str] | None:
    """Return a pattern that matches a long term anywhere in a sentence without spaces, or None without such terms."""
    bare = [term.replace(" ", "").replace("*", "") for term in terms]
    forms = "|".join(re.escape(term) for term in bare if len(term) >= FEWEST_INSIDE)
    return re.compile(f"{NOT_INSIDE}(?=[a-z]{{{LONG_WORD}}})[a-z]{{0,60}}?(?:{forms})") if forms else None


def long_enough(terms: Iterable[str], fewest: int) -> tuple[str, ...]:
    """Return the terms with at least this many letters."""
    return tuple(term for term in terms if _letters(term) >= fewest)


def _letters(term: str) -> int:
    return sum(letter.isalpha() for letter in term.replace(AGE, ""))


def _by_first_letter(terms: Sequence[str], form: object) -> str:
    """Return alternatives, grouped so that only those whose first letter fits are tried."""
    groups: dict[str, list[str]] = {}
    for term in terms:
        groups.setdefault(AGE_MARK if term.startswith(AGE) else term[0], []).append(term)
    return "|".join(
        f"(?={_some(letter, STAND_INS.get(letter, ''))})(?:{'|'.join(map(form, group))})"  # type: ignore[call-overload]
        for letter, group in groups.items()
    )


def _plain(term: str) -> str:
    words = [
        re.escape(word.replace(AGE, AGE_MARK).rstrip("*")) + (EXACT_ENDING if word.endswith("*") else "")
        for word in term.split(" ")
    ]
    return r"[\W_]{0,6}".join(words)


def _form(term: str, *, spread: bool) -> str:
    ending = SPREAD_ENDING if spread else TIGHT_ENDING
    last = len(term.split(" ")) - 1
    words = [
        _word(word.rstrip("*"), spread=spread, ends=place == last and not word.endswith("*"))
        + (ending if word.endswith("*") else "")
        for place, word in enumerate(term.split(" "))
    ]
    return (r"[\W_]{1,6}" if spread else r"[\W_]{0,6}").join(words) + NOT_BEFORE


def _word(word: str, *, spread: bool, ends: bool = False) -> str:
    """Match each letter or its stand-in, once or repeated, with punctuation between or (spread) gaps everywhere.

    Punctuation does not stand for the last letter of a term (`ends`): "lol!". A double letter at the end counts twice:
    "violée" is not "viole".
    """
    runs = [(letter, len(list(same))) for letter, same in groupby(word.replace(AGE, AGE_MARK))]
    pattern = ""
    for place, (letter, count) in enumerate(runs):
        stand_ins = STAND_INS.get(letter, "")
        last = place == len(runs) - 1
        if last and ends:
            stand_ins = "".join(sign for sign in stand_ins if sign not in PUNCTUATION)
        some = _some(letter, stand_ins) + f"{{1,{MAX_RUN}}}"
        again = "" if last else "?"
        pattern += some + f"(?:{_gap(letter, letter, spread=spread)}{some}){again}" * (count - 1)
        if not last:
            pattern += _gap(letter, runs[place + 1][0], spread=spread)
    return pattern


def _some(letter: str, stand_ins: str) -> str:
    return f"[{letter}{re.escape(stand_ins)}]"


def _gap(left: str, right: str, *, spread: bool) -> str:
    """Match what may separate two letters, except stand-ins for either of them, so that matches are unambiguous."""
    both = STAND_INS.get(left, "") + STAND_INS.get(right, "")
    taken = re.escape("".join(sign for sign in SIGNS if sign in both))
    return f"(?:[^\\w{taken}]|_){{1,6}}" if spread else f"(?:[^\\w\\s{taken}]|_){{0,4}}"
