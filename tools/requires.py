"""The check, by deptry, that each folder imports only packages named in its requirements file, and uses all of them."""

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
    """Folders (and top-level modules), the hand-written files with their requirements, and exclusions.

    `all_used`: whether a package in those files must be imported here.
    """

    code: tuple[str, ...]
    files: tuple[str, ...]
    without: tuple[str, ...] = ()
    all_used: bool = False


PAGES = ("app", "services", "streamlit_app.py")
# local/ runs in the studio's environment, except one program in the embedded cloud's; the built-in model is made
# with packages that only its developers install.
HELD = (
    Held(PAGES, ("requirements.in",)),
    Held((*PAGES, "local"), ("requirements.in", "local/requirements.in"), all_used=True),
    Held(("inference",), ("inference/requirements.in",), without=("inference/pocket",), all_used=True),
    Held(("inference",), ("inference/requirements.in", "inference/requirements-dev.in")),
    Held(("infra",), ("infra/jumpstart/requirements.in",), all_used=True),
    Held(("tools",), ("requirements-dev.in",)),
)


def required(root: Path) -> Outcome:
    """All imports of our code are named in its requirements, and all packages named there are imported."""
    problems: list[str] = []
    for held in HELD:
        # deptry takes folders only, so the whole tree without the others represents a folder and a module.
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
