"""Text checks of the tracked files: length, machine-specific paths, registry hosts, secrets."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tools.outcome import Outcome, from_problems

MAX_LINES = 400
SOURCE = (".py", ".tf", ".js", ".css", ".sh")
MAX_TEXT_BYTES = 2_000_000
# Lock files written by other programs contain hosts by design.
GENERATED = frozenset({".terraform.lock.hcl", "package-lock.json"})

MACHINE_PATH = re.compile(r"(?<![\w.$}])/(?:work|root|Users|home/[a-z][\w-]*)/")
REGISTRY_HOST = re.compile(
    r"\b(?:(?:files\.)?python[h]osted\.org|(?:test\.)?py[p]i\.org|registry\.np[m]js\.org|np[m]\.pkg\.|"
    r"(?:deb|ftp)\.debi[a]n\.org|download\.py[t]orch\.org|huggingf[a]ce\.co)\b|--(?:extra-)?index-u[r]l\b|--find-lin[k]s\b"
)
SECRET = re.compile(
    r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----|\bgh[pousr]_[A-Za-z0-9]{36}\b|"
    r"\bxox[abprs]-[A-Za-z0-9-]{20,}|\batl_[A-Za-z0-9_-]{32,}|\bwhsec_[A-Za-z0-9+/=]{24,}"
)


def tracked(root: Path) -> list[Path]:
    """Return the existing files that git tracks in `root`, and new ones it does not ignore."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        check=True,
    )
    names = sorted(name for name in listed.stdout.decode().split("\0") if name)
    return [root / name for name in names if (root / name).is_file() and not (root / name).is_symlink()]


def texts(root: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield name and lines of each tracked text file; skips binary and very large ones."""
    for path in tracked(root):
        if path.name in GENERATED or path.stat().st_size > MAX_TEXT_BYTES:
            continue
        data = path.read_bytes()
        if b"\0" not in data:
            yield path.relative_to(root).as_posix(), data.decode("utf-8", errors="replace").splitlines()


def long_files(root: Path) -> Outcome:
    """No source file is longer than MAX_LINES, because a file should have one job. Tests may be long lists of cases."""
    return from_problems(
        [
            f"{name}: {len(lines)} lines, at most {MAX_LINES}: split it by job"
            for name, lines in texts(root)
            if name.endswith(SOURCE) and not name.startswith("tests/") and len(lines) > MAX_LINES
        ]
    )


def _matches(root: Path, pattern: re.Pattern[str], what: str) -> Outcome:
    return from_problems(
        [
            f"{name}:{number}: {what}"
            for name, lines in texts(root)
            for number, line in enumerate(lines, 1)
            if pattern.search(line)
        ]
    )


def machine_paths(root: Path) -> Outcome:
    """No tracked file names a folder that exists on only one machine."""
    return _matches(
        root, MACHINE_PATH, "a path of one machine: make it relative or take it from the environment"
    )


def registry_hosts(root: Path) -> Outcome:
    """No tracked file names a package registry: the installation's configuration does that."""
    return _matches(
        root, REGISTRY_HOST, "names a package registry: leave that to the installer's configuration"
    )


def secrets(root: Path) -> Outcome:
    """No tracked file contains what looks like a key; the key itself is not printed."""
    return _matches(root, SECRET, "looks like a secret: take it out, and revoke it if it was ever real")
