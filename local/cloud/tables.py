"""Everything that base and journals hold, put together; and a base file written from it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from local.cloud import parts
from local.cloud.records import line_of

Items = dict[str, dict[str, dict[str, Any]]]


class Contents:
    """The items of the tables, by table, partition and sort key, and the parts of the services."""

    def __init__(self) -> None:
        self.tables: dict[str, Items] = {}
        self.services: dict[str, dict[parts.Path, Any]] = {}

    def apply(self, record: list[Any]) -> None:
        """Applies one record of a base or a journal; see records.py. Raises ValueError for an unknown one."""
        kind = record[0]
        if kind == "items":
            for table, pk, sk, item in record[1]:
                self._set(table, pk, sk, item)
        elif kind == "parts":
            parts.apply(self.services.setdefault(record[1], {}), record[2])
        elif kind == "clear":
            self.tables.pop(record[1], None)
        elif kind == "wipe":
            self.tables.clear()
            self.services.clear()
        else:
            raise ValueError(f"a record of the kind {kind!r}, which this version does not know")

    def _set(self, table: str, pk: str, sk: str, item: dict[str, Any] | None) -> None:
        partitions = self.tables.setdefault(table, {})
        if item is not None:
            partitions.setdefault(pk, {})[sk] = item
        elif (bucket := partitions.get(pk)) is not None:
            bucket.pop(sk, None)
            if not bucket:
                del partitions[pk]

    def count(self) -> int:
        """Returns the number of items."""
        return sum(len(bucket) for table in self.tables.values() for bucket in table.values())

    def records(self) -> Iterator[list[Any]]:
        """Yields the records of a base with these contents."""
        for service, known in self.services.items():
            yield ["parts", service, [[list(path), value] for path, value in known.items()]]
        for table, partitions in self.tables.items():
            for pk, bucket in partitions.items():
                yield ["items", [[table, pk, sk, item] for sk, item in bucket.items()]]


def write_base(records: Iterable[list[Any]], path: Path) -> int:
    """Writes a base file, whole or not at all, and returns its size in bytes. Raises OSError."""
    fresh = path.with_suffix(".new")
    lines = size = 0
    try:
        with open(fresh, "wb", opener=_private) as file:
            for record in records:
                size += file.write(line_of(record))
                lines += 1
            size += file.write(line_of(["end", lines]))
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)
    return size


def sync_folder(folder: Path) -> None:
    """Makes the names in `folder` durable. Raises OSError."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
