"""Tests that links, headings, and the files named in docs/changing-things.md exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("inference/pocket/*.md")],
    key=lambda file: file.as_posix(),
)
LINK = re.compile(r"\]\(([^)\s]+)\)")
FILE_NAME = re.compile(r"[\w*<>-]+\.(?:py|toml|tf|js|md|txt|po)|Dockerfile(?:\.\w+)?")


def anchors(file: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub generates them."""
    headings = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(file: Path, text: str) -> list[str]:
    broken = []
    for link in LINK.findall(text):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (file.parent / path).resolve() if path else file
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    return broken


def missing_files(text: str) -> list[str]:
    """Return the code spans that look like a path but match no file; a bare name may be in any folder."""
    missing = []
    for span in re.findall(r"`([^`]+)`", text):
        if not re.fullmatch(r"[\w./*<>-]+", span) or span.startswith((".venvs/", "/")) or "<" in span:
            continue
        if "/" in span:
            found = any(ROOT.glob(span.rstrip("/")))
        elif FILE_NAME.fullmatch(span):
            found = any(any((ROOT / top).rglob(span)) for top in TOPS) or (ROOT / span).exists()
        else:
            continue
        if not found:
            missing.append(span)
    return missing


TOPS = ("app", "services", "inference", "local", "infra", "bench", "tools", "tests", "docs")


@pytest.mark.parametrize("file", DOCUMENTS, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_every_link_has_a_target(file: Path) -> None:
    assert broken_links(file, file.read_text(encoding="utf-8")) == []


def test_every_file_named_in_changing_things_exists() -> None:
    assert missing_files((ROOT / "docs/changing-things.md").read_text(encoding="utf-8")) == []


def test_broken_links_and_missing_files_are_found() -> None:
    page = ROOT / "docs/README.md"
    assert broken_links(page, "[a](no-such.md) [b](api.md#no-such) [c](api.md#lists)") == [
        "no-such.md",
        "api.md#no-such",
    ]
    assert missing_files("`app/components/viewer.py`, `no_such.py`, `app/pages/`, `sweep.py`") == [
        "app/components/viewer.py",
        "no_such.py",
    ]
