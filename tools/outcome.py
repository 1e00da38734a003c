"""What one check of `python -m tools.check` reports."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    OK = "ok"
    FAILED = "failed"
    NOT_CHECKED = "not checked"


@dataclass(frozen=True)
class Outcome:
    """How a check ended; `detail` is what a person needs to mend it, or why it could not be done."""

    state: State
    detail: str = ""


def from_problems(problems: list[str]) -> Outcome:
    """Failed with one problem a line, or ok when there are none."""
    return Outcome(State.FAILED, "\n".join(problems)) if problems else Outcome(State.OK)
