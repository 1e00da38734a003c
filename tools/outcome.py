"""The result of one check of `python -m tools.check`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    OK = "ok"
    FAILED = "failed"
    NOT_CHECKED = "not checked"


@dataclass(frozen=True)
class Outcome:
    """The result of a check; `detail` says what to fix, or why it could not run."""

    state: State
    detail: str = ""


def from_problems(problems: list[str]) -> Outcome:
    """Return a failure with one problem per line, or ok without problems."""
    return Outcome(State.FAILED, "\n".join(problems)) if problems else Outcome(State.OK)
