"""A small repository with nothing wrong in it, for the checks to be shown something wrong."""

from __future__ import annotations

import shutil
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CLEAN = {
    "app/__init__.py": '"""The door."""\n',
    "services/__init__.py": '"""What is done."""\n',
    "services/aws/__init__.py": '"""The edge."""\n',
    "services/aws/table.py": '"""The table."""\n',
    "services/errors.py": '"""Errors."""\n',
    "inference/__init__.py": '"""The model."""\n',
    "local/__init__.py": '"""What AWS is on a laptop."""\n',
    "tools/__init__.py": '"""Checks."""\n',
}

Plant = Callable[[str, str], None]


def rooms() -> dict[str, str]:
    """Every package of ours, the modules at the top of `app` and `services`, and those that a contract names, empty."""
    found = [*(ROOT / "app").glob("*.py"), *(ROOT / "services").glob("*.py"), *named_in_contracts()]
    for top in ("app", "services", "inference", "local", "tools"):
        found += (ROOT / top).rglob("__init__.py")
    return {path.relative_to(ROOT).as_posix(): '"""A room."""\n' for path in found}


def named_in_contracts() -> list[Path]:
    """The modules of ours that import-linter's contracts forbid by name: it asks that they exist."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    names = {name for contract in contracts for name in contract.get("forbidden_modules", ())}
    files = [ROOT / f"{name.replace('.', '/')}.py" for name in sorted(names)]
    return [file for file in files if file.is_file()]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The repository's folders with clean contents, its settings of the tools, and git."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for name, text in (rooms() | CLEAN).items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    return tmp_path


@pytest.fixture
def plant(tree: Path) -> Plant:
    """Writes a file into the tree."""

    def write(name: str, text: str) -> None:
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    return write
