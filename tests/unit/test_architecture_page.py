"""Tests that docs/architecture.md lists every package of the studio."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")


def packages(top: str) -> set[str]:
    return {
        file.parent.relative_to(ROOT / top).as_posix()
        for file in (ROOT / top).glob("*/**/__init__.py")
        if file.parent.relative_to(ROOT / top).as_posix() != "ui"
    }


def named(top: str) -> set[str]:
    """Return the packages named in the section's table; the first and the second cell of a row may name some."""
    section = PAGE.split(f"\n## {top}/\n")[1].split("\n## ")[0]
    rows = [line.split("|") for line in section.splitlines() if line.startswith("|")]
    return {name for row in rows for cell in row[1:-2] for name in re.findall(r"`([a-z0-9_/]+)`", cell)}


@pytest.mark.parametrize("top", ["services", "app"])
def test_the_page_lists_exactly_the_existing_packages(top: str) -> None:
    assert named(top) == packages(top)
