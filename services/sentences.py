"""Translatable sentences for people: plain strings that remember their template and values."""

from __future__ import annotations

from typing import Any


class Sentence(str):
    """An English sentence with its template and values; usable wherever a string is."""

    template: str
    values: dict[str, Any]


def sentence(template: str, /, **values: Any) -> Sentence:
    """Fills in the `{names}` of `template` like `str.format`; without values it stays as it is.

    A value can be a sentence or a part of one, such as "The mask", and is translated too.
    """
    made = Sentence(template.format(**values) if values else template)
    made.template, made.values = template, values
    return made


_SUBJECTS = {
    "prompt": sentence("The prompt"),
    "negative_prompt": sentence("The negative prompt"),
    "template": sentence("The template"),
    "image": sentence("The image"),
    "mask": sentence("The mask"),
    "width": sentence("The width"),
    "height": sentence("The height"),
    "strength": sentence("The strength"),
}


def subject(param: str) -> str:
    """Returns the beginning of a sentence about this field."""
    return _SUBJECTS.get(param) or f"The {param.replace('_', ' ')}"
