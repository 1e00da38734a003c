"""The requirements files: `NAME.in` is written by hand, `NAME.txt` by uv with all indirect dependencies.

`python -m tools.pins [UV OPTION ...]` writes them (`--upgrade-package NAME` updates an indirect dependency); pip
installs them. `make check` fails when a `.txt` file does not match its `.in` file, or an environment does not match
its `.txt` file.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tools.outcome import Outcome, State, from_problems

ROOT = Path(__file__).resolve().parents[1]
# Files that others include come first.
FILES = (
    "requirements",
    "requirements-dev",
    "inference/requirements",
    "inference/requirements-dev",
    "local/requirements",
    "infra/jumpstart/requirements",
    "bench/requirements",
)
# The environments under `.venvs/`, and the file that lists everything in each.
ENVIRONMENTS = {
    "studio": "requirements-dev",
    "inference": "inference/requirements-dev",
    "cloud": "local/requirements",
    "jumpstart": "infra/jumpstart/requirements",
    "bench": "bench/requirements",
}
PIN = re.compile(r"^([\w.-]+)(?:\[.*\])?==(\S+)", re.MULTILINE)
EXACT = re.compile(r"[\w.-]+(\[[\w,-]+\])?==[\w.!]+\s*(#.*)?")
# `+cpu` and similar labels: the pin must be available from any index.
BUILD_LABEL = re.compile(r"(?<===)([\w.!]+)\+\w+")
NOT_REACHED = "Failed to fetch"


class Unresolved(Exception):
    """uv cannot resolve a file; the message is its output."""


class Unreachable(Unresolved):
    """The package registry does not respond."""


def python(root: Path, environment: str) -> Path | None:
    """Return the interpreter of `.venvs/<environment>`, or None if it is missing."""
    path = root / ".venvs" / environment / "bin" / "python"
    return path if path.exists() else None


def pins(root: Path, name: str) -> list[tuple[str, str]]:
    """Return name and version of each package in `NAME.txt`."""
    return PIN.findall((root / f"{name}.txt").read_text(encoding="utf-8"))


def loose(root: Path, name: str) -> list[str]:
    """Return the lines of `NAME.in` without an exact version."""
    lines = (root / f"{name}.in").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith(("#", "-")) and not EXACT.fullmatch(line)]


def compiled(root: Path, name: str, *options: str) -> str:
    """Return the expected `NAME.txt`; keeps versions that fit. Queries the registry. Raises `Unresolved`."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "requirements.txt"
        if (root / f"{name}.txt").exists():
            shutil.copyfile(root / f"{name}.txt", output)
        command = ["pip", "compile", "--quiet", f"{name}.in", "--output-file", str(output), *options]
        done = subprocess.run(
            [sys.executable, "-m", "uv", *command], cwd=root, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            reason = Unreachable if NOT_REACHED in done.stderr else Unresolved
            raise reason(f"{name}.in: {done.stderr.strip()}")
        return BUILD_LABEL.sub(r"\1", output.read_text(encoding="utf-8"))


def uninstalled(root: Path, environment: str) -> str:
    """Return pip's message if `.venvs/<environment>` lacks a pin of its file, otherwise nothing. No network."""
    interpreter = python(root, environment)
    if interpreter is None:
        return f"there is no environment .venvs/{environment}: `python3 local/bootstrap.py --dev` makes it"
    pip = [sys.executable, "-m", "pip", "--isolated", "--python", str(interpreter), "install", "--quiet"]
    only_look = ["--dry-run", "--no-deps", "--no-index", "--disable-pip-version-check"]
    done = subprocess.run(
        [*pip, *only_look, "-r", f"{ENVIRONMENTS[environment]}.txt"],
        cwd=root,
        env={name: value for name, value in os.environ.items() if not name.startswith("PIP_")},
        capture_output=True,
        text=True,
        check=False,
    )
    return "" if done.returncode == 0 else f".venvs/{environment}: {done.stderr.strip()}"


def pinned(root: Path) -> Outcome:
    """Each `.txt` file matches its `.in` file, and each environment its `.txt` file."""
    problems = [
        f"{name}.in: write NAME==VERSION instead of {line}" for name in FILES for line in loose(root, name)
    ]
    problems += [line for environment in ENVIRONMENTS if (line := uninstalled(root, environment))]
    unreached = ""
    for name in FILES:
        try:
            if compiled(root, name) != (root / f"{name}.txt").read_text(encoding="utf-8"):
                problems.append(f"{name}.txt is out of date: run `python -m tools.pins` and commit it")
        except Unreachable:
            unreached = (
                "the package registry does not answer; whether the .txt files follow was not looked up"
            )
            break
        except Unresolved as exc:
            problems.append(str(exc))
    if unreached and not problems:
        return Outcome(State.NOT_CHECKED, unreached)
    return from_problems(problems)


def main() -> int:
    """Write every `.txt` file; returns 1 when one cannot be resolved."""
    try:
        for name in FILES:
            (ROOT / f"{name}.txt").write_text(compiled(ROOT, name, *sys.argv[1:]), encoding="utf-8")
    except Unresolved as exc:
        print(exc, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
