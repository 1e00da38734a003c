r"""Expands one prompt into many: `{red|blue} apple`, `__animal__`, and templates around `{prompt}`.

- `{a|b}` expands to each of its alternatives in turn; one may be empty and may contain further braces.
- `__animal__` expands to each entry of the list with that name. Entries are plain text and are not expanded.
- Braces without a `|` directly inside stay as typed, because other programs give them another meaning.
- `\{`, `\}`, `\|`, `\_` and `\\` stand for the character itself; any other backslash stays.

Spaces are kept as typed. Prompts are counted before any is built, and too many are refused, because each one costs
money. `dynamicprompts` (0.31.0) has a similar syntax but draws only the first ones instead.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import NoReturn

from services.errors import InvalidRequest
from services.sentences import sentence, subject

MAX_PROMPTS = 50
MAX_CHARACTERS = 4000
MAX_DEPTH = 20
PLACE = "{prompt}"
LIST_NAME = r"[a-z0-9-]+(?:_[a-z0-9-]+)*"
# Other programs name a list by its path below a folder, with `*` for any: no list here has such a name.
_WORD = r"[a-z0-9*-]+(?:_[a-z0-9*-]+)*"
_TOKEN = re.compile(rf"\\([{{}}|_\\])|__({_WORD}(?:[/\\]{_WORD})*)__|\{{prompt\}}|[{{}}|]", re.IGNORECASE)
# Names of the text with the error, for use within a sentence.
_IN = {"prompt": sentence("in the prompt"), "template": sentence("in the template")}
_OF = {"prompt": sentence("of the prompt"), "template": sentence("of the template")}
_ESCAPED = re.compile(r"[\\{}|]|_(?=_)")

Lists = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class _List:
    """A list reference `__name__`; `at` is its position, from 0."""

    name: str
    at: int


@dataclass(frozen=True)
class _Choice:
    """Alternatives in braces."""

    options: tuple[_Parts, ...]


@dataclass(frozen=True)
class _Place:
    """The position of the prompt in a template."""


_Part = str | _List | _Choice | _Place
_Parts = tuple[_Part, ...]


def expand(text: str, lists: Lists, *, template: str | None = None) -> tuple[str, ...]:
    """Return the distinct prompts of `text`, each inserted into any `template`; the leftmost part changes slowest.

    `lists` must hold the entries of every list that `list_names` finds. Raises InvalidRequest with
    param "prompt" for an unclosed brace, an unknown or empty list, or more than MAX_PROMPTS combinations.
    """
    prompt = _parse(text, "prompt")
    frame: _Parts = (_Place(),) if template is None else _parse(template, "template", places=True)
    # Both counts raise for a missing or empty list; otherwise every count is at least 1.
    number = _count(prompt, lists, "prompt") * _count(frame, lists, "template")
    if number > MAX_PROMPTS:
        _refuse(
            sentence(
                "The prompt stands for {count:,} combinations; at most {most} can be drawn at once. Take out "
                "some alternatives, or use a shorter list.",
                count=number,
                most=MAX_PROMPTS,
            )
            if number < 1_000_000
            else sentence(
                "The prompt stands for over a million combinations; at most {most} can be drawn at once. Take "
                "out some alternatives, or use a shorter list.",
                most=MAX_PROMPTS,
            )
        )
    return tuple(dict.fromkeys(_each(frame, lists, prompt)))


def list_names(text: str, *, template: str | None = None) -> frozenset[str]:
    """Return the list names used in the text and its template. Raises InvalidRequest as `expand` does."""
    names = set(_lists_in(_parse(text, "prompt")))
    if template is not None:
        names |= set(_lists_in(_parse(template, "template", places=True)))
    return frozenset(names)


def check_template(text: str) -> None:
    """Raises InvalidRequest with param "template" unless the template has exactly one `{prompt}`."""
    try:
        parts = _parse(text, "template", places=True)
    except InvalidRequest as error:
        raise InvalidRequest(error.message, param="template") from error
    places = sum(1 for part in _flat(parts) if isinstance(part, _Place))
    if places != 1:
        raise InvalidRequest(
            sentence(
                "The template has {place} {times} times. Write it once, where the prompt goes: “a photo of "
                "{place}, 35 mm”.",
                place=PLACE,
                times=places,
            )
            if places
            else sentence(
                "The template has no {place}. Write it where the prompt goes: “a photo of {place}, 35 mm”.",
                place=PLACE,
            ),
            param="template",
        )


def escape(text: str) -> str:
    """Return `text` with special characters escaped, so that it expands to exactly itself."""
    try:
        parts = _parse(text, "prompt")
    except InvalidRequest:
        parts = ()
    if "".join(part for part in parts if isinstance(part, str)) == text:
        return text
    return _ESCAPED.sub(lambda found: "\\" + found[0], text)


def _parse(text: str, what: str, *, places: bool = False) -> _Parts:
    """Return the parts of a prompt or template; `places` says whether `{prompt}` marks the prompt's position."""
    if len(text) > MAX_CHARACTERS:
        _refuse(
            sentence(
                "{what} has {count} characters with all its alternatives; at most {most} are possible. Shorten it.",
                what=subject(what),
                count=len(text),
                most=MAX_CHARACTERS,
            )
        )
    # The outermost level and one per open brace: its position and its alternatives so far.
    levels: list[tuple[int, list[list[_Part]]]] = [(0, [[]])]
    read_to = 0
    for token in _TOKEN.finditer(text):
        here = levels[-1][1][-1]
        here.append(text[read_to : token.start()])
        read_to = token.end()
        if token[1] or token[2]:
            here.append(token[1] or _List(token[2].lower(), token.start()))
        elif len(token[0]) > 1:
            here.append(_Place() if places else token[0])
        elif token[0] == "{":
            if len(levels) > MAX_DEPTH:
                _refuse(
                    sentence(
                        "The braces {where} are nested over {most} deep at position {position}. Write {brace} "
                        "for a brace that is only a character.",
                        where=_IN[what],
                        most=MAX_DEPTH,
                        position=token.start() + 1,
                        brace="\\{",
                    )
                )
            levels.append((token.start(), [[]]))
        elif token[0] == "|" and len(levels) > 1:
            levels[-1][1].append([])
        elif token[0] == "}" and len(levels) > 1:
            _, options = levels.pop()
            if len(options) == 1:
                levels[-1][1][-1] += ["{", *options[0], "}"]
            else:
                levels[-1][1][-1].append(_Choice(tuple(tuple(option) for option in options)))
        else:
            here.append(token[0])
    if len(levels) > 1:
        _refuse(
            sentence(
                "The brace at position {position} {where} is never closed. Add a {closing}, or write {brace} "
                "for a brace that is only a character.",
                position=levels[-1][0] + 1,
                where=_OF[what],
                closing="}",
                brace="\\{",
            )
        )
    [parts] = levels[0][1]
    return (*parts, text[read_to:])


def _flat(parts: _Parts) -> Iterator[_Part]:
    for part in parts:
        yield part
        if isinstance(part, _Choice):
            for option in part.options:
                yield from _flat(option)


def _lists_in(parts: _Parts) -> Iterator[str]:
    return (part.name for part in _flat(parts) if isinstance(part, _List))


def _count(parts: _Parts, lists: Lists, what: str) -> int:
    """Return the number of combinations, including equal ones; at least 1."""
    return prod(_count_part(part, lists, what) for part in parts)


def _count_part(part: _Part, lists: Lists, what: str) -> int:
    if isinstance(part, _List):
        entries = lists.get(part.name)
        if not entries:
            _refuse(
                sentence(
                    "There is no list called {name} (position {position} {where}). Make one under “Lists and "
                    "templates”, or write {escaped} for the words themselves.",
                    name=part.name,
                    position=part.at + 1,
                    where=_OF[what],
                    escaped=f"\\__{part.name}__",
                )
                if entries is None
                else sentence(
                    "The list {name} (position {position} {where}) has no entries. Add some.",
                    name=part.name,
                    position=part.at + 1,
                    where=_OF[what],
                )
            )
        return len(entries)
    if isinstance(part, _Choice):
        return sum(_count(option, lists, what) for option in part.options)
    return 1


def _each(parts: _Parts, lists: Lists, prompt: _Parts) -> Iterator[str]:
    ways = (tuple(_each_part(part, lists, prompt)) for part in parts)
    return ("".join(way) for way in itertools.product(*ways))


def _each_part(part: _Part, lists: Lists, prompt: _Parts) -> Iterator[str]:
    if isinstance(part, str):
        yield part
    elif isinstance(part, _List):
        yield from lists[part.name]
    elif isinstance(part, _Choice):
        for option in part.options:
            yield from _each(option, lists, prompt)
    else:
        yield from _each(prompt, lists, ())


def _refuse(message: str) -> NoReturn:
    raise InvalidRequest(message, param="prompt")
