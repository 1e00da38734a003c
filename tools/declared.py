"""The check that every package our code imports is named by hand in the requirements file of that code."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution
from pathlib import Path

from packaging.utils import canonicalize_name

from tools.outcome import Outcome, State, from_problems
from tools.pins import PinsError, direct_part, installed, requirements, site_packages
from tools.tree import tracked

# Which files say what a folder's code may import. local/ is started in the studio's environment, and one program of
# it in the embedded cloud's; the built-in model is made with what only its developers install.
REQUIREMENTS: dict[str, tuple[str, ...]] = {
    "app": ("requirements.txt",),
    "services": ("requirements.txt",),
    "streamlit_app.py": ("requirements.txt",),
    "local": ("requirements.txt", "local/requirements.txt"),
    "infra/jumpstart": ("infra/jumpstart/requirements.txt",),
    "tools": ("requirements-dev.txt",),
    "inference": ("inference/requirements.txt",),
    "inference/pocket": ("inference/requirements.txt", "inference/requirements-dev.txt"),
}
ENVIRONMENTS = ("studio", "inference", "cloud", "jumpstart")


def imported(source: str) -> Iterator[tuple[int, str]]:
    """Line and top-level name of each absolute import."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name.split(".")[0]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.lineno, node.module.split(".")[0]


def modules(packages: dict[str, Distribution]) -> dict[str, set[str]]:
    """Top-level module name -> canonical names of the packages that bring it."""
    found: dict[str, set[str]] = {}
    for name, dist in packages.items():
        for file in dist.files or []:
            top = file.parts[0]
            if top.endswith(".py") or (len(file.parts) > 1 and top.isidentifier()):
                found.setdefault(top.removesuffix(".py"), set()).add(name)
    return found


def declared(root: Path) -> Outcome:
    """What our code imports stands in the upper part of a requirements file of that code."""
    providers: dict[str, set[str]] = {}
    try:
        for environment in ENVIRONMENTS:
            for module, names in modules(installed(site_packages(root, environment))).items():
                providers.setdefault(module, set()).update(names)
    except PinsError as exc:
        return Outcome(State.FAILED, str(exc))
    problems = []
    for path in tracked(root):
        name = path.relative_to(root).as_posix()
        folders = [folder for folder in REQUIREMENTS if name == folder or name.startswith(f"{folder}/")]
        if path.suffix != ".py" or not folders:
            continue
        files = REQUIREMENTS[max(folders, key=len)]
        allowed = {
            canonicalize_name(wanted.name)
            for file in files
            for wanted in requirements(direct_part((root / file).read_text(encoding="utf-8")))
        }
        problems += [
            f"{name}:{line}: {module} is not named in {' or '.join(files)}"
            for line, module in imported(path.read_text(encoding="utf-8"))
            if module not in sys.stdlib_module_names
            and not (root / module).exists()
            and not (root / f"{module}.py").exists()
            and not providers.get(module, set()) & allowed
        ]
    return from_problems(problems)
