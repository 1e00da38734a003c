"""Tests, by reading the source, that every kind of record in a user's partition is declared with its erasure rule."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from services.store.kinds import KINDS

ROOT = Path(__file__).parents[2]
# Keys look like "IMAGE#", and in the store also like "PROFILE", without a suffix.
PREFIX = re.compile(r"[A-Z][A-Z0-9_]*#")
NAME = re.compile(r"[A-Z][A-Z0-9_]{3,}")
# Partitions, index partitions, their contents, and parts of other sort keys: not kinds in a user's partition.
ELSEWHERE = frozenset(
    {
        *(
            "USER#",
            "KEY#",
            "SHARE#",
            "SHARE",
            "DAY#",
            "OPEN#",
            "STUDIO",
            "WAKES#",
            "AWAKE#",
            "LOGIN",
            "NAME#",
        ),
        *("RERUN#", "QUEUES", "GSI1PK", "GSI1SK", "SIGNIN#", "ATTEMPTS"),
    }
)


def kinds_in(source: str, *, store: bool) -> set[str]:
    """Return the string literals that look like a kind of record."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if match := PREFIX.match(node.value):
                found.add(match[0])
            elif store and NAME.fullmatch(node.value):
                found.add(node.value)
    return found


def kinds_by_file(folder: Path) -> dict[str, set[str]]:
    """Return the literals that look like a kind of record, by file below the folder."""
    files = {file.relative_to(folder): file.read_text() for file in sorted(folder.rglob("*.py"))}
    return {str(file): kinds_in(text, store=file.parts[0] == "store") for file, text in files.items()}


def undeclared(folder: Path) -> dict[str, set[str]]:
    """Return, by file, the kinds that `services/store/kinds.py` does not declare."""
    known = {kind.prefix for kind in KINDS} | ELSEWHERE
    return {file: kinds - known for file, kinds in kinds_by_file(folder).items() if kinds - known}


def test_every_kind_in_the_source_is_declared() -> None:
    assert undeclared(ROOT / "services") == {}


@pytest.mark.parametrize(
    "line",
    [
        'STYLE = "STYLE#"',
        'def sk(name):\n    return f"STYLE#{name}"',
        'item = {"SK": "STYLES"}',
    ],
)
def test_an_undeclared_kind_is_found(tmp_path: Path, line: str) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "styles.py").write_text(line)
    assert list(undeclared(tmp_path)) == ["store/styles.py"]


def test_every_declared_kind_is_unique_and_used_and_erased_if_it_goes_with_a_job() -> None:
    written = set[str]().union(
        *(kinds for file, kinds in kinds_by_file(ROOT / "services").items() if file != "store/kinds.py")
    )
    prefixes = [kind.prefix for kind in KINDS]
    assert sorted(set(prefixes)) == sorted(prefixes)
    assert set(prefixes) - written == set()
    assert not [kind for kind in KINDS if kind.with_job and not kind.erased]
