"""The checks by external programs: format, lint, types, import rules, dead code."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tools.outcome import Outcome, State, from_problems

TIME_LIMIT_S = 240
# The code to type-check and search for dead code, if present. inference/ has a separate environment, in which
# bench/model also runs.
STUDIO_CODE = ("app", "services", "local", "infra", "tools", "bench", "streamlit_app.py")
INFERENCE_CODE = ("inference", "bench/model")
FINDING = re.compile(r"(?P<path>[^:]+):(?P<line>\d+): unused (?P<kind>\w+) ")
FIELD = re.compile(r"\s+\w+: |\s+model_config = ")


def run(root: Path, *command: str) -> Outcome:
    """Run a program in `root`: ok if it exits with 0, otherwise failed with its whole output."""
    environment = {**os.environ, "PYTHONPATH": str(root), "NO_COLOR": "1"}
    try:
        done = subprocess.run(
            command,
            cwd=root,
            env=environment,
            capture_output=True,
            text=True,
            timeout=TIME_LIMIT_S,
            check=False,
        )
    except FileNotFoundError:
        return Outcome(
            State.FAILED, f"{command[0]} is not installed: `python3 local/bootstrap.py --dev` installs it"
        )
    except subprocess.TimeoutExpired:
        return Outcome(State.FAILED, f"{' '.join(command)}: not done after {TIME_LIMIT_S} s")
    if done.returncode == 0:
        return Outcome(State.OK)
    return Outcome(State.FAILED, (done.stdout + done.stderr).strip() or f"exit code {done.returncode}")


def existing(root: Path, names: tuple[str, ...]) -> list[str]:
    """Return the names that are Python files or folders containing some."""
    found = []
    for name in names:
        path = root / name
        if path.is_file() or (path.is_dir() and any(path.rglob("*.py"))):
            found.append(name)
    return found


def formatting(root: Path) -> Outcome:
    """The code is formatted as by `ruff format`."""
    return run(root, sys.executable, "-m", "ruff", "format", "--check", "--output-format", "concise", ".")


def lint(root: Path) -> Outcome:
    """`ruff check` finds nothing."""
    return run(root, sys.executable, "-m", "ruff", "check", "--output-format", "concise", ".")


def types(root: Path) -> Outcome:
    """`mypy` in strict mode accepts all code that runs in the studio's environment."""
    return run(root, sys.executable, "-m", "mypy", *existing(root, STUDIO_CODE))


def inference_types(root: Path) -> Outcome:
    """`mypy` in strict mode accepts the model container's code, in its own environment."""
    code = existing(root, INFERENCE_CODE)
    if not code:
        return Outcome(State.OK)
    python = root / ".venvs" / "inference" / "bin" / "python"
    if not python.exists():
        return Outcome(
            State.FAILED,
            "there is no environment .venvs/inference: `python3 local/bootstrap.py --dev` makes it",
        )
    # A separate cache, because both runs happen at the same time with different packages.
    options = ["--python-executable", str(python), "--cache-dir", ".mypy_cache/inference"]
    return run(root, sys.executable, "-m", "mypy", *options, *code)


def imports(root: Path) -> Outcome:
    """The contracts of `[tool.importlinter]` hold: they state which package may import which."""
    return run(root, str(Path(sys.executable).with_name("lint-imports")), "--no-cache")


def dead_code(root: Path) -> Outcome:
    """`vulture` finds no unused definitions except those read by other code (`_is_for_others`)."""
    code = existing(root, (*STUDIO_CODE, *INFERENCE_CODE))
    found = run(root, sys.executable, "-m", "vulture", *code)
    if found.state is State.OK:
        return found
    return from_problems([line for line in found.detail.splitlines() if not _is_for_others(root, line)])


def _is_for_others(root: Path, finding: str) -> bool:
    """Whether other code reads it: record and wire-format fields, and attributes set on another library's objects."""
    match = FINDING.match(finding)
    if match is None:
        return False
    line = (root / match["path"]).read_text(encoding="utf-8").splitlines()[int(match["line"]) - 1]
    if match["kind"] == "attribute":
        return "self." not in line
    return match["kind"] == "variable" and FIELD.match(line) is not None
