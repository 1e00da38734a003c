"""Sentences for people that can still be said in another language: plain strings that know how they were made."""

from __future__ import annotations

from typing import Any


class Sentence(str):
    """An English sentence, and the template and values it was made from. Wherever a string is wanted it is one."""

    template: str
    values: dict[str, Any]


def sentence(template: str, /, **values: Any) -> Sentence:
    """`template` with its `{names}` filled in, as `str.format` does it; without values it stays as it is.

    A value can be a sentence itself, or a part of one, as "The mask": it is said in the other language too.
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
    """What a sentence about this field begins with."""
    return _SUBJECTS.get(param) or f"The {param.replace('_', ' ')}"
