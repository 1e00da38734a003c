"""The JavaScript of a component, put together from files, and what it says in the reader's language."""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path

from babel.messages.extract import extract

from app import language

HERE = Path(__file__).parent


def script(*names: str) -> str:
    """Return the files of this folder as one module, in this order."""
    return "\n".join((HERE / name).read_text(encoding="utf-8") for name in names)


def words(*names: str) -> dict[str, str]:
    """What `say("...")` of these files has to say, by its English; a component gets it as `data.words`."""
    return language.words(_said_in(names))


@cache
def _said_in(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(
        message
        for name in names
        for _, message, _, _ in extract("javascript", io.BytesIO((HERE / name).read_bytes()), {"say": None})
        if isinstance(message, str)
    )
