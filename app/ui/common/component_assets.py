"""Bundles a component's JavaScript from files, with its texts in the reader's language."""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path

from babel.messages.extract import extract

from app.i18n import texts

# Scripts shared by several components are in this folder.
COMMON = Path(__file__).parent


def script(folder: Path, *names: str) -> str:
    """Return the files as one module, in this order; each from `folder`, else from the folder of this file."""
    return "\n".join(_find(folder, name).read_text(encoding="utf-8") for name in names)


def words(folder: Path, *names: str) -> dict[str, str]:
    """Returns the translations for `say("...")` in these files, by English text; passed as `data.words`."""
    return texts.words(_said_in(folder, names))


@cache
def _said_in(folder: Path, names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(
        message
        for name in names
        for _, message, _, _ in extract(
            "javascript", io.BytesIO(_find(folder, name).read_bytes()), {"say": None}
        )
        if isinstance(message, str)
    )


def _find(folder: Path, name: str) -> Path:
    own = folder / name
    return own if own.exists() else COMMON / name
