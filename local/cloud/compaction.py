"""`python -m local.cloud.compaction`: a new base from the last one and its journals, while the cloud goes on serving.

A process of its own that reads files only: its memory grows with the journals, not with the base, and the cloud
never waits for it.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from local.cloud import parts
from local.cloud.records import Damaged, read_base, read_journal
from local.cloud.recovery import copy_of, make_copy
from local.cloud.tables import write_base

NICENESS = 10


class Changes:
    """What journals change in a base."""

    def __init__(self) -> None:
        self._items: dict[tuple[str, str], dict[str, Any]] = {}
        self._cleared: set[str] = set()
        self._wiped = False
        self._parts: dict[str, dict[parts.Path, list[Any]]] = {}

    def apply(self, record: list[Any]) -> None:
        """Adds a record of a journal. Raises ValueError for an unknown one."""
        kind = record[0]
        if kind == "items":
            for table, pk, sk, item in record[1]:
                self._items.setdefault((table, pk), {})[sk] = item
        elif kind == "parts":
            changed = self._parts.setdefault(record[1], {})
            changed.update((tuple(path), [path, *value]) for path, *value in record[2])
        elif kind == "clear":
            self._clear(record[1])
        elif kind == "wipe":
            self._items.clear()
            self._parts.clear()
            self._wiped = True
        else:
            raise ValueError(f"a record of the kind {kind!r}, which this version does not know")

    def _clear(self, table: str) -> None:
        self._cleared.add(table)
        for key in [key for key in self._items if key[0] == table]:
            del self._items[key]

    def merged(self, base: Iterable[list[Any]]) -> Iterator[list[Any]]:
        """Yields the records of the new base."""
        services: dict[str, dict[parts.Path, Any]] = {}
        for record in [] if self._wiped else base:
            if record[0] == "parts":
                parts.apply(services.setdefault(record[1], {}), record[2])
                continue
            rows = [row for row in record[1] if not self._replaces(row)]
            if rows:
                yield ["items", rows]
        for (table, pk), bucket in self._items.items():
            rows = [[table, pk, sk, item] for sk, item in bucket.items() if item is not None]
            if rows:
                yield ["items", rows]
        for service, changed in self._parts.items():
            known = services.setdefault(service, {})
            parts.apply(known, [change for change in changed.values() if len(change) == 1])
            parts.apply(known, [change for change in changed.values() if len(change) > 1])
        for service, known in services.items():
            yield ["parts", service, [[list(path), value] for path, value in known.items()]]

    def _replaces(self, row: list[Any]) -> bool:
        table, pk, sk, _ = row
        return table in self._cleared or sk in self._items.get((table, pk), ())


def compact(folder: Path, base: int, last: int) -> int:
    """Writes base `last + 1` and its copy from base `base` (0: none) and the journals up to `last`; returns its bytes.

    Nothing is deleted. Raises Damaged, OSError, ValueError.
    """
    changes = Changes()
    for number in range(max(1, base), last + 1):
        for _, record in read_journal(folder / f"journal-{number}.jsonl"):
            changes.apply(record)
    path = folder / f"base-{last + 1}.jsonl"
    old = folder / f"base-{base}.jsonl"
    try:
        size = write_base(changes.merged(_records(old) if base else ()), path)
    except (Damaged, FileNotFoundError):
        size = write_base(changes.merged(_records(copy_of(old))), path)
    # Read back before the files that it replaces are deleted.
    for _ in read_base(path):
        pass
    make_copy(path)
    return size


def _records(base: Path) -> Iterator[list[Any]]:
    return (record for _, record in read_base(base))


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the size of the new base in bytes, or what went wrong; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m local.cloud.compaction", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--base", type=int, required=True)
    parser.add_argument("--last", type=int, required=True)
    arguments = parser.parse_args(argv)
    os.nice(NICENESS)
    try:
        print(compact(arguments.folder, arguments.base, arguments.last))
    except (Damaged, OSError, ValueError) as exc:
        print(exc)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
