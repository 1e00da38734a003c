"""`python -m tools.check [NAME ...]`: runs the checks that every change must pass, and prints one line per check."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from tools import advisories, duplicates, licenses, pins, programs, requires, texts, tree
from tools.outcome import Outcome, State

ROOT = Path(__file__).resolve().parents[1]
Check = Callable[[Path], Outcome]


# The slow ones come first, because two run at a time.
CHECKS: dict[str, Check] = {
    "inference types": programs.inference_types,
    "types": programs.types,
    "advisories": advisories.advisories,
    "licenses": licenses.licenses,
    "imports": programs.imports,
    "lint": programs.lint,
    "format": programs.formatting,
    "dead code": programs.dead_code,
    "duplicates": duplicates.duplicates,
    "pins": pins.pinned,
    "requirements": requires.required,
    "texts": texts.check,
    "long files": tree.long_files,
    "machine paths": tree.machine_paths,
    "registry hosts": tree.registry_hosts,
    "secrets": tree.secrets,
}


def timed(check: Check, root: Path) -> tuple[Outcome, float]:
    """Run a check; return its outcome and its duration in seconds."""
    start = time.monotonic()
    outcome = check(root)
    return outcome, time.monotonic() - start


def run(names: list[str], root: Path, *, strict: bool) -> bool:
    """Run the named checks and print a line as each ends; True if none failed (strict: nor was skipped)."""
    good = True
    with ThreadPoolExecutor(max_workers=2) as pool:
        futures = {pool.submit(timed, CHECKS[name], root): name for name in names}
        for future in as_completed(futures):
            outcome, seconds = future.result()
            print(f"{outcome.state:<12} {futures[future]:<16} {seconds:5.1f} s", flush=True)
            if outcome.detail:
                print("    " + outcome.detail.replace("\n", "\n    "), flush=True)
            good &= outcome.state is State.OK or (outcome.state is State.NOT_CHECKED and not strict)
    return good


def main() -> int:
    """Parse the command line and run the checks; returns 1 when one failed."""
    parser = argparse.ArgumentParser(prog="python -m tools.check", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"one of: {', '.join(CHECKS)} (default: all)"
    )
    parser.add_argument("--strict", action="store_true", help="what could not be checked counts as failed")
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.names if name not in CHECKS]:
        parser.error(f"no check is called {', '.join(unknown)}; there are: {', '.join(CHECKS)}")
    good = run(arguments.names or list(CHECKS), ROOT, strict=arguments.strict)
    print("all checks passed" if good else "a check failed: see above")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
