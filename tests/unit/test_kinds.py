"""Each kind of record in a person's partition is declared, with what becomes of it: read from the source."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from services.store.kinds import KINDS

ROOT = Path(__file__).parents[2]
# How keys are written: "IMAGE#", and in the store names that stand alone, as "PROFILE".
PREFIX = re.compile(r"[A-Z][A-Z0-9_]*#")
NAME = re.compile(r"[A-Z][A-Z0-9_]{3,}")
# Partitions and index partitions, what lies in them, and what stands inside other sort keys: no kinds of a person's.
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
        *("RERUN#", "QUEUES", "GSI1PK", "GSI1SK"),
    }
)


def kinds_in(source: str, *, store: bool) -> set[str]:
    """What looks like a kind of record in the code's string literals."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if match := PREFIX.match(node.value):
                found.add(match[0])
            elif store and NAME.fullmatch(node.value):
                found.add(node.value)
    return found


def kinds_by_file(folder: Path) -> dict[str, set[str]]:
    """What looks like a kind of record, by file below the folder."""
    files = {file.relative_to(folder): file.read_text() for file in sorted(folder.rglob("*.py"))}
    return {str(file): kinds_in(text, store=file.parts[0] == "store") for file, text in files.items()}


def undeclared(folder: Path) -> dict[str, set[str]]:
    """By file: kinds that `services/store/kinds.py` does not know."""
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
def test_a_kind_that_nobody_declared_is_found(tmp_path: Path, line: str) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "styles.py").write_text(line)
    assert list(undeclared(tmp_path)) == ["store/styles.py"]


def test_every_declared_kind_is_in_the_source_and_says_why_when_it_stays() -> None:
    written = set[str]().union(
        *(kinds for file, kinds in kinds_by_file(ROOT / "services").items() if file != "store/kinds.py")
    )
    prefixes = [kind.prefix for kind in KINDS]
    assert sorted(set(prefixes)) == sorted(prefixes)
    assert set(prefixes) - written == set()
    assert not [kind for kind in KINDS if kind.with_job and not kind.erased]
