"""The check, by deptry, that each folder's code imports only what its requirements file names, and uses all of it."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from tools.outcome import Outcome, State, from_problems
from tools.programs import run

UNUSED = "DEP002"
NOTES = (
    "Assuming the corresponding module",
    "Scanning ",
    "Found ",
    "For more information",
    "  for requirement",
)


@dataclass(frozen=True)
class Held:
    """Folders (and modules at the top), the hand-written files that name their packages, what is left out.

    `all_used`: whether a package in those files must be imported here.
    """

    code: tuple[str, ...]
    files: tuple[str, ...]
    without: tuple[str, ...] = ()
    all_used: bool = False


PAGES = ("app", "services", "streamlit_app.py")
# local/ is started in the studio's environment, and one program of it in the embedded cloud's; the built-in model is
# made with what only its developers install.
HELD = (
    Held(PAGES, ("requirements.in",)),
    Held((*PAGES, "local"), ("requirements.in", "local/requirements.in"), all_used=True),
    Held(("inference",), ("inference/requirements.in",), without=("inference/pocket",), all_used=True),
    Held(("inference",), ("inference/requirements.in", "inference/requirements-dev.in")),
    Held(("infra",), ("infra/jumpstart/requirements.in",), all_used=True),
    Held(("tools",), ("requirements-dev.in",)),
)


def required(root: Path) -> Outcome:
    """What our code imports is named in the requirements of that code; what they name there is imported."""
    problems: list[str] = []
    for held in HELD:
        # deptry takes folders only, and so the whole tree without the others stands for a folder and a module.
        others = {path.name for path in root.iterdir()} - set(held.code)
        excluded = [f"--exclude={name}$|{name}/" for name in (*sorted(others), *held.without)]
        options = [
            f"--requirements-files={','.join(held.files)}",
            *([] if held.all_used else ["--ignore", UNUSED]),
        ]
        found = run(root, sys.executable, "-m", "deptry", ".", "--no-ansi", *excluded, *options)
        if found.state is not State.OK:
            lines = [line for line in found.detail.splitlines() if line and not line.startswith(NOTES)]
            problems += [f"{line} ({', '.join(held.files)})" for line in lines if "UserWarning" not in line]
    return from_problems(sorted(set(problems)))
