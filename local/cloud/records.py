"""The files that hold the tables and accounts: checksummed lines, their order, and what a reader may trust.

A line is `<crc32 of the JSON, 8 hex digits> <JSON>`. The JSON is one of:

- `["items", [[table, pk, sk, item or null], ...]]`: the items that one request wrote; null for a deleted one.
- `["clear", table]`: all items of a table are gone.
- `["parts", service, [[path, value], [path], ...]]`: see `parts.py`; a path alone for a part that is gone.
- `["wipe"]`: everything is gone.
- `["end", lines]`: the last line of a base file, with the number of lines before it.

`base-<n>.jsonl` holds everything that the journals before `journal-<n>.jsonl` held. `base-<n>.copy.jsonl` is the same
once more.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

JOURNAL = re.compile(r"journal-(\d+)\.jsonl")
BASE = re.compile(r"base-(\d+)(\.copy)?\.jsonl")
# What a journal's unused, reserved space holds.
UNUSED = b"\0"


class Damaged(Exception):
    """A file does not hold what was written to it; `at` is the offset of the first byte that cannot be trusted."""

    def __init__(self, path: Path, at: int, reason: str) -> None:
        super().__init__(f"{path.name} is damaged at byte {at:,}: {reason}")
        self.path = path
        self.at = at


def line_of(record: list[Any]) -> bytes:
    """Returns the line that holds `record`."""
    text = json.dumps(record, separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def record_of(line: bytes) -> list[Any] | None:
    """Returns the record of a line without its newline, or None if the line is not what was written."""
    try:
        if line[8:9] != b" " or int(line[:8], 16) != zlib.crc32(line[9:]):
            return None
        record = json.loads(line[9:])
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, list) and record else None


def read_journal(path: Path) -> Iterator[tuple[int, list[Any]]]:
    """Yields the records with the offset after each.

    Raises Damaged at a line that cannot be read although a readable one follows; stops at a torn last line, whose
    request was never acknowledged. Raises OSError.
    """
    with open(path, "rb") as file:
        offset = 0
        for line in file:
            record = record_of(line.rstrip(b"\n")) if line.endswith(b"\n") else None
            if record is None:
                if not line.startswith(UNUSED) and any(record_of(rest.rstrip(b"\n")) for rest in file):
                    raise Damaged(path, offset, "records follow a line that cannot be read")
                return
            offset += len(line)
            yield offset, record


def torn_bytes(path: Path, valid: int) -> int:
    """Returns how many bytes other than reserved space follow the first `valid` ones. Raises OSError."""
    with open(path, "rb") as file:
        file.seek(valid)
        return len(file.read().rstrip(UNUSED))


def read_base(path: Path) -> Iterator[tuple[int, list[Any]]]:
    """Yields the records with the offset after each. Raises Damaged for a file that is not whole, OSError."""
    lines = offset = 0
    with open(path, "rb") as file:
        for line in file:
            record = record_of(line.rstrip(b"\n"))
            if record is None:
                raise Damaged(path, offset, "a line cannot be read")
            offset += len(line)
            if record[0] == "end":
                if record[1] != lines:
                    raise Damaged(path, offset, f"it holds {lines:,} of {record[1]:,} lines")
                return
            lines += 1
            yield offset, record
    raise Damaged(path, offset, "its end is missing")


def journals(folder: Path) -> dict[int, Path]:
    """Returns the journals of `folder` by number, in order."""
    found = ((JOURNAL.fullmatch(entry.name), entry) for entry in folder.glob("journal-*.jsonl"))
    return dict(sorted((int(match[1]), entry) for match, entry in found if match))


def bases(folder: Path) -> list[tuple[int, Path]]:
    """Returns the base files of `folder`, the newest first and each before its copy."""
    found = ((BASE.fullmatch(entry.name), entry) for entry in folder.glob("base-*.jsonl"))
    ordered = sorted((-int(match[1]), match[2] or "", entry) for match, entry in found if match)
    return [(-number, entry) for number, _, entry in ordered]
