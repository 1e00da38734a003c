"""Parses the `parameters` text of A1111 and of the programs that write it in their own ways."""

from __future__ import annotations

import json
import re
from typing import NamedTuple

from services.records import Record

NEGATIVE = "Negative prompt:"
FIRST_FIELD = "Steps: "
# Possessive and only tried where a field begins, so no text needs more than one pass.
_PAIR = r'\s*+([\w /-]++):\s*+("(?:\\.|[^"\\])*+"|[^{by}]*+)(?:[{by}]|$)'
_PAIRS = {by: re.compile(_PAIR.replace("{by}", by)) for by in (",", "|")}
_BY_PIPES = re.compile(r"Steps:\s*+\d++\s*+\|")
# Forms without line ends put one full stop or white space where a line would end.
_STEPS_IN_A_LINE = re.compile(r"(?:^|[.\s])(?=Steps:\s?\d++\s*+[,|])")
_NEGATIVE_IN_A_LINE = re.compile(r"[.\s]Negative prompt:")
_PROMPT_MARK = re.compile(r"[Pp]rompt: ")
# Names that no sentence of a prompt begins with: a line of such pairs above the steps belongs to the values.
_TECHNICAL = frozenset(
    {"app", "backend", "cfg scale", "clip skip", "model hash", "operations", "parser", "pipeline", "sampler", "version"}
)  # fmt: skip
_COMMON = _TECHNICAL | {"model", "seed", "size", "steps", "vae"}
# A text in one line is a recipe only if it has one of these beside the steps.
_BESIDE_STEPS = frozenset({"sampler", "seed", "cfg scale", "size"})
# Values are at the end of the text; extensions add a few lines below.
_MOST_LINES_BELOW = 20


class A1111Parameters(Record):
    """The `parameters` text of other programs: prompts and the named values, unchanged."""

    prompt: str
    negative_prompt: str
    fields: dict[str, str]

    def named(self, *names: str) -> str | None:
        """Return the first of these values that is there; programs write the names in different cases."""
        by_name = {name.casefold(): value for name, value in self.fields.items()}
        return next((by_name[name.casefold()] for name in names if name.casefold() in by_name), None)


class _Parts(NamedTuple):
    prompts: str
    fields: dict[str, str]


def from_a1111(text: str) -> A1111Parameters | None:
    """Return the parts of a `parameters` text, or None if it has another form (some programs put JSON there).

    The values are in the last line that begins with the steps; extensions add lines below it. Some programs put other
    values into a line above, separate values with `|` (SD.Next), or write everything in one line.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    parts = _by_lines(text) or _by_common_line(text) or _in_one_line(text)
    if parts is None:
        return None
    prompts, mark, negative = f"\n{parts.prompts}".partition(f"\n{NEGATIVE}")
    if not mark and (inline := _NEGATIVE_IN_A_LINE.search(prompts)):
        prompts, mark, negative = prompts[: inline.start()], NEGATIVE, prompts[inline.end() :]
    prompt = prompts.removeprefix("\n")
    if _BY_PIPES.search(text) and (prefix := _PROMPT_MARK.match(prompt)):
        prompt = prompt[prefix.end() :]
    return A1111Parameters(
        prompt=prompt, negative_prompt=negative.removeprefix(" ") if mark else "", fields=parts.fields
    )


def _by_lines(text: str) -> _Parts | None:
    above, mark, last = f"\n{text}".rpartition(f"\n{FIRST_FIELD}")
    if not mark:
        return None
    fields = _fields(FIRST_FIELD + last.partition("\n")[0])
    prompts, technical = _without_technical_lines(above.removeprefix("\n"))
    return _Parts(prompts, technical | fields)


def _by_common_line(text: str) -> _Parts | None:
    """Find a line that has the steps among other well-known values, in any order."""
    above = text
    for _ in range(_MOST_LINES_BELOW):
        above, mark, line = above.rpartition("\n")
        names = _names_of_all(line)
        if "steps" in names and names & _BESIDE_STEPS:
            return _Parts(above, _fields(line))
        if not mark:
            break
    return None


def _in_one_line(text: str) -> _Parts | None:
    if text.lstrip().startswith("{"):
        return None
    for match in reversed(list(_STEPS_IN_A_LINE.finditer(text))[-_MOST_LINES_BELOW:]):
        fields = _fields(text[match.end() :].partition("\n")[0])
        if _BESIDE_STEPS & {name.casefold() for name in fields}:
            return _Parts(text[: match.start()], fields)
    return None


def _without_technical_lines(prompts: str) -> tuple[str, dict[str, str]]:
    """Split off the lines at the end that have nothing but values, such as SD.Next's version and pipeline."""
    fields: dict[str, str] = {}
    for _ in range(_MOST_LINES_BELOW):
        above, _mark, line = prompts.rpartition("\n")
        names = _names_of_all(line)
        if not names & _TECHNICAL or not names <= _COMMON:
            break
        prompts, fields = above, _fields(line) | fields
    return prompts, fields


def _names_of_all(line: str) -> set[str]:
    """Return the names of a line's pairs in lower case; empty if anything else is in it."""
    line = line.rstrip()
    names, at, pair = set(), 0, _PAIRS[_separator(line)]
    while at < len(line):
        match = pair.match(line, at)
        if match is None:
            return set()
        names.add(match[1].strip().casefold())
        at = match.end()
    return names


def _separator(line: str) -> str:
    return "|" if _BY_PIPES.search(line) else ","


def _fields(line: str) -> dict[str, str]:
    """Return the `name: value` pairs, skipping anything else."""
    fields: dict[str, str] = {}
    by, at = _separator(line), 0
    while 0 <= at < len(line):
        if match := _PAIRS[by].match(line, at):
            fields[match[1].strip()] = _unquoted(match[2].strip())
            at = match.end()
        else:
            at = line.find(by, at) + 1 or len(line)
    return fields


def quoted(value: str) -> str:
    """Return a value as it is written among the pairs."""
    return json.dumps(value, ensure_ascii=False) if any(mark in value for mark in ',:\n"') else value


def _unquoted(value: str) -> str:
    if not value.startswith('"'):
        return value
    try:
        return str(json.loads(value))
    except (ValueError, RecursionError):
        return value
