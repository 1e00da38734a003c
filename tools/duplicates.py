"""The check for duplicated code: equal runs of lines, ignoring comments, imports and docstrings."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

from tools.outcome import Outcome, from_problems
from tools.tree import tracked

MIN_LINES = 8
FOLDERS = ("app", "services", "inference", "local", "infra", "tools", "bench")

Line = tuple[int, str]
Place = tuple[str, int]


def significant_lines(source: str) -> list[Line]:
    """Return number and stripped text of the lines with logic: no imports, docstrings, comments, bare field names."""
    skipped: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        field = isinstance(node, ast.AnnAssign) and node.value is None
        if isinstance(node, ast.stmt) and (text or field or isinstance(node, ast.Import | ast.ImportFrom)):
            skipped.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return [
        (number, line.strip())
        for number, line in enumerate(source.splitlines(), 1)
        if line.strip() and not line.strip().startswith("#") and number not in skipped
    ]


def find(files: dict[str, list[Line]]) -> list[tuple[Place, Place, int]]:
    """Return pairs of places with at least MIN_LINES equal lines, as long as possible: (first, second, length)."""
    seen: dict[tuple[str, ...], list[Place]] = defaultdict(list)
    for name, lines in files.items():
        for start in range(len(lines) - MIN_LINES + 1):
            window = tuple(text for _, text in lines[start : start + MIN_LINES])
            seen[window].append((name, start))
    pairs = [
        (places[0], other)
        for places in seen.values()
        for other in places[1:]
        if places[0][0] != other[0] or other[1] - places[0][1] >= MIN_LINES
    ]
    known = set(pairs)
    found = []
    for (first, at), (second, there) in pairs:
        if ((first, at - 1), (second, there - 1)) in known:
            continue
        length = MIN_LINES
        while ((first, at + length - MIN_LINES + 1), (second, there + length - MIN_LINES + 1)) in known:
            length += 1
        found.append(((first, at), (second, there), length))
    return found


def duplicates(root: Path) -> Outcome:
    """No MIN_LINES lines of logic occur twice in our code (tests may repeat themselves)."""
    files = {
        path.relative_to(root).as_posix(): significant_lines(path.read_text(encoding="utf-8"))
        for path in tracked(root)
        if path.suffix == ".py" and path.relative_to(root).parts[0] in FOLDERS
    }
    return from_problems(
        [
            f"{a}:{files[a][i][0]} and {b}:{files[b][j][0]}: {length} equal lines: make one piece serve both"
            for (a, i), (b, j), length in find(files)
        ]
    )
