"""Tests of work in a forked copy: its result is returned, its failure is raised, and it cannot hang the caller."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from local.cloud.fork import CopyFailed, in_a_copy


def test_the_copy_sees_the_state_at_the_fork_and_returns_a_number(tmp_path: Path) -> None:
    state = {"items": 3}
    forked, changed = tmp_path / "forked", tmp_path / "changed"

    def count_later() -> int:
        forked.touch()
        while not changed.exists():
            time.sleep(0.01)
        return state["items"]

    async def main() -> int:
        work = asyncio.create_task(in_a_copy(count_later, timeout_s=20))
        while not forked.exists():
            await asyncio.sleep(0.01)
        state["items"] = 4
        changed.touch()
        return await work

    assert asyncio.run(main()) == 3


def test_a_failure_in_the_copy_is_raised_in_the_caller_with_its_reason() -> None:
    def fail() -> int:
        raise OSError("no space")

    with pytest.raises(CopyFailed, match="no space"):
        asyncio.run(in_a_copy(fail, timeout_s=20))


def test_a_copy_that_is_killed_or_hangs_raises_a_failure_and_leaves_no_process(tmp_path: Path) -> None:
    def die() -> int:
        os.kill(os.getpid(), signal.SIGKILL)
        return 0

    with pytest.raises(CopyFailed, match="killed"):
        asyncio.run(in_a_copy(die, timeout_s=20))

    noted = tmp_path / "pid"

    def hang() -> int:
        noted.write_text(str(os.getpid()))
        time.sleep(600)
        return 0

    with pytest.raises(CopyFailed, match="longer than 1 s"):
        asyncio.run(in_a_copy(hang, timeout_s=1))
    assert not Path(f"/proc/{noted.read_text()}").exists()
