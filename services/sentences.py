"""Sentences for people that can still be said in another language: plain strings that know how they were made."""

from __future__ import annotations

from typing import Any


class Sentence(str):
    """An English sentence, and the template and values it was made from. Wherever a string is wanted it is one."""

    template: str
    values: dict[str, Any]


def sentence(template: str, /, **values: Any) -> Sentence:
    """`template` with its `{names}` filled in, as `str.format` does it."""
    made = Sentence(template.format(**values))
    made.template, made.values = template, values
    return made
