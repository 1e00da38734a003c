"""Reads base and journals at the start: what was acknowledged is all there, or the start is refused with the reason."""

from __future__ import annotations

import gc
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from local.cloud.parts import flatten
from local.cloud.records import Damaged, bases, journals, read_base, read_journal, record_of, torn_bytes
from local.cloud.tables import Contents, write_base

REPAIR = "make repair"
# A start that reads for longer says how far it is.
PROGRESS_S = 1.0

Say = Callable[[str], None]


class StateUnusable(Exception):
    """The state on disk cannot be read; the message says what is damaged, what is lost without it, and what to do."""


@dataclass(frozen=True)
class Recovered:
    """What was read, and where the journal goes on."""

    contents: Contents
    # The number of the base that was read, 0 for none.
    base: int
    journal: Path
    number: int
    end: int


class Progress:
    """Says once a second which part of the bytes has been read."""

    def __init__(self, total_bytes: int, say: Say) -> None:
        self._total = max(1, total_bytes)
        self._say = say
        self._done = 0
        self._next = time.monotonic() + PROGRESS_S

    def at(self, offset: int) -> None:
        """`offset` bytes of the current file have been read."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + PROGRESS_S
            self._say(
                f"progress: {min(99, 100 * (self._done + offset) // self._total)} % of the records read"
            )

    def file_read(self, size_bytes: int) -> None:
        """A file has been read to its end."""
        self._done += size_bytes


def read_all(folder: Path, legacy: Path | None, objects: Path, say: Say) -> tuple[Recovered, bool]:
    """Returns what is stored, and whether it is from `legacy`, a snapshot of version 0.2 or before.

    `objects` is where S3 objects are: without any record of them something is missing. Raises like `recover`.
    """
    found = recover(folder, say)
    if found.base or found.end:
        return found, False
    if legacy is not None:
        return replace(found, contents=from_snapshot(legacy)), True
    if not found.journal.exists() and any(path.is_file() for path in objects.rglob("*")):
        raise _unusable(
            folder, "its files are missing although there are pictures", "everything but the pictures"
        )
    return found, False


def recover(folder: Path, say: Say) -> Recovered:
    """Returns what base and journals in `folder` hold. `say` gets a line for each repair that loses nothing.

    Raises StateUnusable if something that was acknowledged cannot be read; deletes nothing. Raises OSError.
    """
    gc.disable()  # millions of new objects, none of them garbage
    try:
        return _recover(folder, say)
    finally:
        gc.enable()


def _recover(folder: Path, say: Say) -> Recovered:
    logs = journals(folder)
    candidates = bases(folder)
    progress = Progress(
        sum(path.stat().st_size for path in [*logs.values(), *(path for _, path in candidates[:1])]), say
    )
    number, contents = _base(candidates, progress, say)
    if number == 0 and logs and next(iter(logs)) != 1:
        raise _unusable(folder, f"base-{next(iter(logs))}.jsonl is missing", "everything that was stored")
    last = max(logs, default=max(1, number))
    end = 0
    for current in range(max(1, number), last + 1):
        path = folder / f"journal-{current}.jsonl"
        if current not in logs:
            if number == 0 and not logs:
                break
            raise _unusable(folder, f"{path.name} is missing", "every change that was recorded in it")
        end = _replay(path, contents, progress)
        torn = torn_bytes(path, end)
        if torn and current < last:
            raise _unusable(folder, f"{path.name} has no readable end", "every change after it")
        if torn:
            say(
                f"{path.name}: cut {torn:,} bytes of a change that was being written when the cloud was killed; "
                "nobody had been told that it was stored"
            )
    return Recovered(contents, number, folder / f"journal-{last}.jsonl", last, end)


def _base(candidates: list[tuple[int, Path]], progress: Progress, say: Say) -> tuple[int, Contents]:
    """Returns the first readable base. Raises StateUnusable if there are some and none can be read."""
    failures = []
    for number, path in candidates:
        contents = Contents()
        try:
            for offset, record in read_base(path):
                contents.apply(record)
                progress.at(offset)
        except (Damaged, OSError, ValueError, TypeError) as exc:
            failures.append(str(exc))
            continue
        progress.file_read(path.stat().st_size)
        if failures:
            say(f"{'; '.join(failures)}. Read {path.name} instead: nothing is lost.")
        return number, contents
    if failures:
        raise _unusable(candidates[0][1].parent, "; ".join(failures), "whatever these files no longer hold")
    return 0, Contents()


def _replay(path: Path, contents: Contents, progress: Progress) -> int:
    """Applies a journal and returns the offset of its end. Raises StateUnusable."""
    end = 0
    try:
        for end, record in read_journal(path):
            contents.apply(record)
            progress.at(end)
    except (Damaged, ValueError, TypeError) as exc:
        readable = sum(1 for _ in salvage(path)) - sum(1 for _ in _until_damaged(path))
        raise _unusable(path.parent, str(exc), f"up to the {readable} changes after it") from exc
    progress.file_read(path.stat().st_size)
    return end


def _until_damaged(path: Path) -> Iterator[list[Any]]:
    try:
        for _, record in read_journal(path):
            yield record
    except Damaged:
        return


def _unusable(folder: Path, what: str, lost: str) -> StateUnusable:
    return StateUnusable(
        f"the studio's data in {folder} is damaged: {what}. Without it {lost} would be lost. Nothing was changed: "
        f"put the file back from a backup, or run `{REPAIR}` to go on with what can be read."
    )


def salvage(path: Path) -> Iterator[list[Any]]:
    """Yields every record of a file that can be read, whatever lies between them. Raises OSError."""
    with open(path, "rb") as file:
        for line in file:
            record = record_of(line.rstrip(b"\n"))
            if record is not None and record[0] != "end":
                yield record


def repair(folder: Path, legacy: Path | None) -> list[str]:
    """Makes a new base of all that can be read, and moves the files it was read from to `damaged-<time>`.

    Of a `legacy` snapshot that cannot be read, nothing is taken over. Returns one line for each thing that was done.
    Raises OSError; then the old files are still there.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    logs, candidates = journals(folder), bases(folder)
    contents = Contents()
    number = max((number for number, _ in candidates), default=0)
    # A base and its copy are seldom damaged at the same line.
    sources = [path for known, path in candidates if known == number]
    for path in [*sources, *(path for current, path in logs.items() if current >= number)]:
        _apply_all(salvage(path), contents)
    aside = folder / f"damaged-{time.strftime('%Y%m%d-%H%M%S')}"
    aside.mkdir(mode=0o700)
    following = max([number, *logs]) + 1
    write_base(contents.records(), folder / f"base-{following}.jsonl")
    for path in [*logs.values(), *(path for _, path in candidates)]:
        os.replace(path, aside / path.name)
    if legacy is not None:
        os.replace(legacy, aside / legacy.name)
    (folder / f"journal-{following}.jsonl").touch(mode=0o600)
    return [
        f"kept {contents.count():,} records that can be read",
        f"moved the damaged files to {aside}; delete them when nothing is missed",
    ]


def _apply_all(records: Iterator[list[Any]], contents: Contents) -> None:
    for record in records:
        try:
            contents.apply(record)
        except (ValueError, TypeError, KeyError, IndexError):
            continue


def from_snapshot(generation: Path) -> Contents:
    """Returns the tables and accounts of a snapshot of version 0.2 and before.

    Raises StateUnusable if a file is damaged, OSError.
    """
    contents = Contents()
    for service in ("dynamodb", "cognito"):
        path = generation / f"{service}.json"
        if not path.exists():
            continue
        try:
            state = json.loads(path.read_bytes())["payload"]
            for table in state.get("tables", {}).get("data", {}).values():
                contents.tables[table["TableArn"]] = table.pop("items")
            contents.services[service] = dict(flatten(state))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
            raise _unusable(generation, f"{path.name}: {exc}", "the jobs or the accounts in it") from exc
    return contents


def forget(folder: Path, before: int) -> None:
    """Removes bases and journals that base `before` has made superfluous, and half-written ones."""
    for number, path in [*bases(folder), *journals(folder).items()]:
        if number < before:
            path.unlink(missing_ok=True)
    for path in folder.glob("base-*.new"):
        path.unlink(missing_ok=True)


def copy_of(base: Path) -> Path:
    """Returns where the copy of a base is."""
    return base.with_name(base.name.replace(".jsonl", ".copy.jsonl"))


def make_copy(base: Path) -> None:
    """Copies a base, whole or not at all, onto other blocks of the disk. Raises OSError."""
    fresh = base.with_suffix(".copy.new")
    try:
        shutil.copyfile(base, fresh)
        with open(fresh, "rb+") as file:
            os.fsync(file.fileno())
        os.chmod(fresh, 0o600)
        os.replace(fresh, copy_of(base))
    except OSError:
        fresh.unlink(missing_ok=True)
        raise
