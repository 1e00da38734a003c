"""Reads the labelled prompts: `harmful.txt` with their categories, and `innocent.txt`, hard on purpose.

Rules are written against these. The two files `held_out_*.txt` show what the rules do with other prompts.
"""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent
# The alphabets that have no digits.
WITHOUT_DIGITS = frozenset({"Braille", "NATO"})


def harmful(*, held_out: bool = False) -> list[tuple[str, str]]:
    """Returns category and prompt of all that must be refused."""
    pairs = (line.partition(" | ") for line in _lines("harmful.txt", held_out=held_out))
    return [(category, prompt) for category, _, prompt in pairs]


def innocent(*, held_out: bool = False) -> list[str]:
    """Returns prompts that a careless filter refuses."""
    return _lines("innocent.txt", held_out=held_out)


def can_disguise(name: str, prompt: str) -> bool:
    """Whether the disguise keeps the prompt whole."""
    return name not in WITHOUT_DIGITS or not any(character.isdigit() for character in prompt)


def _lines(name: str, *, held_out: bool) -> list[str]:
    lines = (FOLDER / (f"held_out_{name}" if held_out else name)).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]
