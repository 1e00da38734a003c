"""The write-ahead journal: nothing is acknowledged that is not on disk, and a full disk refuses."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.cloud.journal import LEAST_BYTES, RESERVE_BYTES, Journal, NotDurable
from local.cloud.records import line_of, read_journal


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal-1.jsonl"


@pytest.fixture
def journal(path: Path, said: list[str]) -> Iterator[Journal]:
    journal = Journal(path, end=0, say=said.append)
    yield journal
    with contextlib.suppress(NotDurable, OSError):
        journal.close()


def records(path: Path) -> list[object]:
    return [record[1] for _, record in read_journal(path)]


def test_what_is_durable_is_in_the_file_and_a_hundred_waiters_share_few_syncs(
    journal: Journal, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    syncs = []
    sync = os.fdatasync

    def counted(file: int) -> None:
        syncs.append(file)
        sync(file)

    monkeypatch.setattr(os, "fdatasync", counted)

    async def change(number: int) -> None:
        journal.append(line_of(["n", number]))
        await journal.durable()
        assert number in records(path)

    async def all_at_once() -> None:
        await asyncio.gather(*(change(number) for number in range(100)))

    asyncio.run(all_at_once())
    assert records(path) == list(range(100))
    assert 0 < len(syncs) < 50


def test_a_write_that_fails_refuses_until_it_succeeds_and_loses_nothing(
    journal: Journal, path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write, failing = os.pwrite, True
    fired = []

    def fails(file: int, data: bytes, at: int) -> int:
        if failing:
            fired.append(at)
            # Half of it arrives, as when the disk fills up.
            write(file, data[: len(data) // 2], at)
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(file, data, at)

    monkeypatch.setattr(os, "pwrite", fails)
    monkeypatch.setattr("local.cloud.journal.RETRY_S", 0.01)

    async def try_it() -> None:
        nonlocal failing
        journal.check_room()
        journal.append(line_of(["n", 1]))
        with pytest.raises(NotDurable, match="No space left"):
            await journal.durable()
        with pytest.raises(NotDurable, match="No space left"):
            journal.check_room()
        failing = False
        await asyncio.sleep(0.05)
        journal.check_room()
        journal.append(line_of(["n", 2]))
        await journal.durable()

    asyncio.run(try_it())
    assert fired
    assert records(path) == [1, 2]
    assert len(said) == 2 and "cannot be written" in said[0] and "again" in said[1]


def test_a_disk_without_room_for_the_largest_request_refuses_before_anything_is_done(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.check_room()
    journal.check_room()

    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    # What was reserved is still good.
    journal.check_room()
    journal.append(b"x" * (RESERVE_BYTES - LEAST_BYTES + 1))
    asyncio.run(journal.durable())
    with pytest.raises(NotDurable, match="No space left"):
        journal.check_room()


def test_after_a_rotation_changes_go_to_the_next_file(journal: Journal, path: Path, tmp_path: Path) -> None:
    following = tmp_path / "journal-2.jsonl"

    async def change() -> None:
        journal.append(line_of(["n", 1]))
        journal.rotate(following)
        journal.append(line_of(["n", 2]))
        await journal.durable()

    asyncio.run(change())
    assert (records(path), records(following)) == ([1], [2])
    assert path.stat().st_size == len(line_of(["n", 1]))
    assert journal.size_bytes == len(line_of(["n", 2]))


def test_a_journal_goes_on_where_its_valid_part_ends(path: Path, said: list[str]) -> None:
    path.write_bytes(line_of(["n", 1]) + b"torn line")
    journal = Journal(path, end=len(line_of(["n", 1])), say=said.append)
    journal.append(line_of(["n", 2]))
    journal.close()
    assert path.read_bytes() == line_of(["n", 1]) + line_of(["n", 2])
