"""The requirements files: direct requirements by hand, every package those pull in pinned by this module.

`python -m tools.pins` rewrites the lower part of each file from what is installed in the environment the file
belongs to; `make check` fails when a file and its environment say different things.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
# pip comes with the interpreter; pinning it would make an installation replace the installer it runs in.
UNPINNED = frozenset({"pip"})
MARK = "# -- pulled in by the above; written by `python -m tools.pins`, not by hand"


class PinsError(Exception):
    """A requirements file cannot be worked out; the message says which package and what to do."""


@dataclass(frozen=True)
class PinFile:
    """One requirements file, the environment under `.venvs/` it describes, and the file it builds on."""

    path: str
    environment: str
    base: str | None = None


FILES = (
    PinFile("requirements.txt", "studio"),
    PinFile("requirements-dev.txt", "studio", base="requirements.txt"),
    PinFile("inference/requirements.txt", "inference"),
    PinFile("inference/requirements-dev.txt", "inference", base="inference/requirements.txt"),
    PinFile("local/requirements.txt", "cloud"),
    PinFile("infra/jumpstart/requirements.txt", "jumpstart"),
    PinFile("bench/requirements.txt", "bench"),
)


def site_packages(root: Path, environment: str) -> Path:
    """The folder `.venvs/<environment>` keeps its packages in; PinsError when the environment is not there."""
    for found in (root / ".venvs" / environment).glob("lib/python3.*/site-packages"):
        return found
    raise PinsError(
        f"there is no environment .venvs/{environment}: `python3 local/bootstrap.py --dev` makes it"
    )


def requirements(text: str) -> tuple[Requirement, ...]:
    """The `NAME==VERSION` lines of a requirements file; comments and `-r` lines are passed over."""
    lines = (line.split("#")[0].strip() for line in text.splitlines())
    return tuple(Requirement(line) for line in lines if line and not line.startswith("-"))


def direct_part(text: str) -> str:
    """The hand-written upper part of a requirements file."""
    return text.partition(MARK)[0]


def installed(site: Path) -> dict[str, Distribution]:
    """The packages in a site-packages folder by canonical name."""
    return {canonicalize_name(dist.metadata["Name"]): dist for dist in distributions(path=[str(site)])}


def public_version(dist: Distribution) -> str:
    """The version without its local label: `2.13.0` for `2.13.0+cpu`, so that any index can serve it."""
    return Version(dist.version).public


def needed(dist: Distribution, extras: set[str]) -> Iterator[Requirement]:
    """What one installed package requires here, with the given extras."""
    for line in dist.requires or ():
        wanted = Requirement(line)
        if canonicalize_name(wanted.name) in UNPINNED:
            continue
        if wanted.marker is None or any(wanted.marker.evaluate({"extra": extra}) for extra in {"", *extras}):
            yield wanted


def closure(direct: tuple[Requirement, ...], packages: dict[str, Distribution], where: str) -> dict[str, str]:
    """All packages the direct requirements need, themselves included: canonical name -> `Name==version`."""
    found: dict[str, str] = {}
    done: set[tuple[str, str]] = set()
    todo = list(direct)
    while todo:
        wanted = todo.pop()
        name = canonicalize_name(wanted.name)
        key = (name, ",".join(sorted(wanted.extras)))
        if key in done:
            continue
        done.add(key)
        dist = packages.get(name)
        if dist is None:
            raise PinsError(
                f"{wanted.name} is not installed in .venvs/{where}: install it there, or take it out"
            )
        if not wanted.specifier.contains(public_version(dist), prereleases=True):
            raise PinsError(
                f"{wanted} is asked for, but .venvs/{where} has {public_version(dist)}: install the pinned one"
            )
        found[name] = f"{dist.metadata['Name']}=={public_version(dist)}"
        todo.extend(needed(dist, wanted.extras))
    return found


def render(root: Path, file: PinFile) -> str:
    """The text the file should have: its hand-written part, and below it the pins of all it pulls in."""
    text = (root / file.path).read_text(encoding="utf-8")
    direct = requirements(direct_part(text))
    loose = [str(line) for line in direct if not any(part.operator == "==" for part in line.specifier)]
    if loose:
        raise PinsError(f"{file.path}: write NAME==VERSION instead of {', '.join(loose)}")
    have = {canonicalize_name(line.name) for line in direct}
    if file.base is not None:
        base = (root / file.base).read_text(encoding="utf-8")
        have |= {canonicalize_name(line.name) for line in requirements(base)}
    packages = installed(site_packages(root, file.environment))
    pins = {
        name: line for name, line in closure(direct, packages, file.environment).items() if name not in have
    }
    lines = [pins[name] for name in sorted(pins)]
    return "\n".join([direct_part(text).rstrip(), "", MARK, *lines]) + "\n"


def stale(root: Path) -> list[str]:
    """A sentence for each requirements file that does not describe its environment; empty when all do."""
    problems = []
    for file in FILES:
        try:
            wanted = render(root, file)
        except PinsError as exc:
            problems.append(str(exc))
            continue
        if wanted != (root / file.path).read_text(encoding="utf-8"):
            problems.append(f"{file.path} is out of date: run `python -m tools.pins` and commit it")
    return problems


def main() -> int:
    """Rewrite every requirements file from its environment; the exit code is 1 when one cannot be."""
    try:
        for file in FILES:
            (ROOT / file.path).write_text(render(ROOT, file), encoding="utf-8")
    except PinsError as exc:
        print(exc, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
