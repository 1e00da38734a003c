"""The JavaScript of a component, put together from files: what several share is written once."""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).parent


def script(*names: str) -> str:
    """Return the files of this folder as one module, in this order."""
    return "\n".join((HERE / name).read_text(encoding="utf-8") for name in names)
