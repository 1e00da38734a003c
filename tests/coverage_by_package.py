"""Prints the line and branch coverage of each package: `python -m tests.coverage_by_package`.

Combines the data of both environments. Code in child processes is not measured: pages in browser tests, and the parts
of a whole studio.
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
# Counted by subpackage; the others count as one package each.
WITH_ROOMS = ("app", "inference", "services")
COUNTED = ("num_statements", "covered_lines", "num_branches", "covered_branches")


def package(name: str) -> str:
    """Returns the package of a file, such as `services/jobs`, or its top folder outside WITH_ROOMS."""
    folders = Path(name).parts[:-1]
    return "/".join(folders[: 2 if folders and folders[0] in WITH_ROOMS else 1])


def measured(files: list[Path], folder: Path) -> dict[str, dict[str, Any]]:
    """Combines the data files and returns the summary of each source file by path. Raises CoverageException."""
    coverage = Coverage(data_file=str(folder / "joined"), config_file=str(ROOT / "pyproject.toml"))
    coverage.combine([str(file) for file in files], keep=True)
    coverage.json_report(outfile=str(folder / "report.json"))
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return {name: file["summary"] for name, file in report["files"].items()}


def table(files: dict[str, dict[str, Any]]) -> list[str]:
    """Returns the lines of the table: one per package, and a total."""
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
    """Prints the table; returns 1 if there is no coverage data."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            print("\n".join(table(measured(sorted(FOLDER.glob("data.*")), Path(folder)))))
    except CoverageException as exc:
        print(f"no coverage: {exc}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
