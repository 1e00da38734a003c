"""Tests of log rotation by the supervisor: long logs are shortened, and an error does not stop the studio."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.supervisor import MAX_LOG_BYTES, Part, StopRequest, Supervisor

TOO_LONG = MAX_LOG_BYTES + 1


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    """A supervisor with two idle processes, `one` and `two`."""
    supervisor = Supervisor(tmp_path, lambda line: None, lambda pids: None, StopRequest())
    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    try:
        for name in ("one", "two"):
            supervisor.start(Part(name, command, os.environ, lambda: True))
        yield supervisor
    finally:
        supervisor.kill()


def _lengthen(log: Path) -> None:
    os.truncate(log, TOO_LONG)


def test_a_long_log_is_rotated(supervisor: Supervisor, tmp_path: Path) -> None:
    _lengthen(tmp_path / "one.log")

    supervisor._shorten_logs()

    assert (tmp_path / "one.log").stat().st_size == 0
    assert (tmp_path / "one.1.log").stat().st_size == TOO_LONG
    assert not (tmp_path / "two.1.log").exists()


def test_a_deleted_log_is_skipped_and_the_next_one_is_shortened(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    (tmp_path / "one.log").unlink()
    _lengthen(tmp_path / "two.log")

    supervisor._shorten_logs()

    assert (tmp_path / "two.log").stat().st_size == 0


def test_a_long_log_is_emptied_without_a_copy_when_the_disk_is_full(
    supervisor: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied: list[str] = []

    def no_space(source: Path, target: Path) -> None:
        copied.append(Path(source).name)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", no_space)
    for name in ("one.log", "two.log"):
        _lengthen(tmp_path / name)

    supervisor._shorten_logs()

    assert copied == ["one.log", "two.log"]
    # Emptied without a copy: a log that only grows would fill the disk.
    assert [(tmp_path / name).stat().st_size for name in ("one.log", "two.log")] == [0, 0]
    assert list(tmp_path.glob("*.1.log")) == []
