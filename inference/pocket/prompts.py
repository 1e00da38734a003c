"""The fixed prompts for viewing and measuring pocket, and what each should show; read from `prompts.toml`."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from typing import Any

from inference.pocket.folders import HERE

SEEN, PARAPHRASE, COMPOSITION = "seen", "paraphrase", "composition"
GROUPS = (SEEN, PARAPHRASE, COMPOSITION)
SHEET_EVERY = 7


@dataclass(frozen=True)
class Question:
    """A prompt, the things that answer it (by their names in the data set), and the style and colors it asks for, if
    any.
    """

    group: str
    prompt: str
    things: tuple[str, ...]
    style: str | None = None
    colour: str | None = None
    background: str | None = None


def _read() -> tuple[Question, ...]:
    listed: dict[str, list[dict[str, Any]]] = tomllib.loads(
        (HERE / "prompts.toml").read_text(encoding="utf-8")
    )
    return tuple(
        Question(group, **{**fields, "things": tuple(fields["things"])})
        for group in GROUPS
        for fields in listed[group]
    )


QUESTIONS: tuple[Question, ...] = _read()
# Drawn at every save in training: some of each group, starting with the three prompts suggested to new users.
SHEET_PROMPTS: tuple[str, ...] = tuple(
    question.prompt for question in (*QUESTIONS[:3], *QUESTIONS[3::SHEET_EVERY])
)
