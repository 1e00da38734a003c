"""`python -m tests.coverage_by_package`: what the tests ran of each package, in lines and in branches.

Joins what the runs of both environments left. What runs in a process of its own, as the pages of a browser story and
the parts of a whole studio do, is not seen.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from coverage import Coverage
from coverage.exceptions import CoverageException

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "build" / "coverage"
# These have rooms; the others are one package each.
WITH_ROOMS = ("app", "inference", "services")
COUNTED = ("num_statements", "covered_lines", "num_branches", "covered_branches")


def package(name: str) -> str:
    """`services/jobs` for a file in that room, and the first folder alone where there are no rooms."""
    folders = Path(name).parts[:-1]
    return "/".join(folders[: 2 if folders and folders[0] in WITH_ROOMS else 1])


def measured(files: list[Path], folder: Path) -> dict[str, dict[str, Any]]:
    """The numbers of each file of code, by its path, from all data files together. Raises CoverageException."""
    coverage = Coverage(data_file=str(folder / "joined"), config_file=str(ROOT / "pyproject.toml"))
    coverage.combine([str(file) for file in files], keep=True)
    coverage.json_report(outfile=str(folder / "report.json"))
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return {name: file["summary"] for name, file in report["files"].items()}


def table(files: dict[str, dict[str, Any]]) -> list[str]:
    """One line a package, and one for all."""
    sums: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for name, numbers in files.items():
        for each in (package(name), "all"):
            sums[each].update({key: numbers[key] for key in COUNTED})
    lines = [f"{'package':<30}{'lines':>8}{'run':>8}{'branches':>10}{'run':>8}"]
    for name in [*sorted(sums.keys() - {"all"}), "all"]:
        statements, lines_run, branches, branches_run = (sums[name][key] for key in COUNTED)
        lines.append(
            f"{name:<30}{statements:>8}{_share(lines_run, statements):>8}"
            f"{branches:>10}{_share(branches_run, branches):>8}"
        )
    return lines


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f} %" if whole else "-"


def main() -> int:
    """Prints the table; 1 where nothing was measured."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            print("\n".join(table(measured(sorted(FOLDER.glob("data.*")), Path(folder)))))
    except CoverageException as exc:
        print(f"no coverage: {exc}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
