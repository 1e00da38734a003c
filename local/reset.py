"""`make reset`: deletes all data of the studio on this machine, after a confirmation."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from local.home import Home, HomeUnusable
from local.processes import ROOT

WORD = "forget"


def main(argv: Sequence[str] | None = None) -> int:
    """Removes the home folder's contents; returns 1 when it is in use or the user did not confirm."""
    parser = argparse.ArgumentParser(prog="python -m local.reset", description=__doc__)
    parser.add_argument("--yes", action="store_true", help="do not ask")
    asked_for = parser.parse_args(argv)
    folder = Path(os.environ.get("ATELIER_HOME") or ROOT / ".atelier")
    if not folder.exists():
        print(f"There is nothing in {folder}.")
        return 0
    if not asked_for.yes and not _confirmed(folder):
        print("Nothing was removed.")
        return 1
    try:
        home = Home(folder, needed_bytes=0)
        home.lock("make reset")
        home.end_leftovers()
        home.forget()
        home.close()
    except (HomeUnusable, OSError) as exc:
        print(f"atelier: {exc}", file=sys.stderr)
        return 1
    print(f"{folder} is empty; the next `make run` starts from scratch.")
    return 0


def _confirmed(folder: Path) -> bool:
    print(f"All pictures, jobs, accounts and keys in {folder} will be deleted permanently.")
    try:
        return input(f"Type `{WORD}` to go on: ").strip() == WORD
    except (EOFError, KeyboardInterrupt):
        print()
        return False


if __name__ == "__main__":
    sys.exit(main())
