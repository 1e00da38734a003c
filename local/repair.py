"""`make repair`: goes on without what is damaged, after a confirmation. Nothing is deleted, only moved aside."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from local.cloud.recovery import StateUnusable, read_all, repair
from local.cloud.snapshots import Snapshots
from local.home import OBJECTS, RECORDS, STATE, Home, HomeUnusable
from local.processes import ROOT

WORD = "repair"


def main(argv: Sequence[str] | None = None) -> int:
    """Repairs the records of the home, if they are damaged; exit code 1 if it is in use or nobody confirmed."""
    parser = argparse.ArgumentParser(prog="python -m local.repair", description=__doc__)
    parser.add_argument("--yes", action="store_true", help="do not ask")
    arguments = parser.parse_args(argv)
    folder = Path(os.environ.get("ATELIER_HOME") or ROOT / ".atelier")
    if not folder.exists():
        print(f"There is nothing in {folder}.")
        return 0
    try:
        home = Home(folder)
        home.lock("make repair")
        home.end_leftovers()
        code = _repair(home, ask=not arguments.yes)
        home.close()
    except (HomeUnusable, OSError) as exc:
        print(f"atelier: {exc}", file=sys.stderr)
        return 1
    return code


def _repair(home: Home, *, ask: bool) -> int:
    records, snapshots = home.cloud / RECORDS, Snapshots(home.cloud / STATE)
    try:
        read_all(records, snapshots.legacy(), home.cloud / OBJECTS, print)
    except StateUnusable as exc:
        print(exc)
    else:
        print("Nothing is damaged.")
        return 0
    if ask and not _confirmed():
        print("Nothing was changed.")
        return 1
    for line in repair(records, snapshots.legacy()):
        print(line)
    print("`make run` starts with what is left.")
    return 0


def _confirmed() -> bool:
    try:
        return input(f"Type `{WORD}` to go on without what cannot be read: ").strip() == WORD
    except (EOFError, KeyboardInterrupt):
        print()
        return False


if __name__ == "__main__":
    sys.exit(main())
