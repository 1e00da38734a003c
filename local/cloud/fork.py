"""Runs work on a frozen state of this process in a forked copy, while this process goes on serving."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import time
from collections.abc import Callable

from local.processes import PR_SET_PDEATHSIG

SUCCESS = b"+"
POLL_S = 0.02


class CopyFailed(Exception):
    """The copy did not finish its work; the message says why."""


async def in_a_copy(work: Callable[[], int], *, timeout_s: float) -> int:
    """Runs `work` in a forked copy and returns its result; this process is blocked only for the fork (milliseconds).

    `work` must not use threads, the event loop or sockets of this process: the copy has only the forking thread.
    A lock held by another thread at the fork stays locked in the copy, hence `timeout_s`. Raises CopyFailed.
    """
    libc = ctypes.CDLL(None)
    parent = os.getpid()
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        _be_the_copy(work, libc, parent, writer)
    os.close(writer)
    try:
        return _number(await _wait(pid, reader, timeout_s))
    finally:
        os.close(reader)


def _be_the_copy(work: Callable[[], int], libc: ctypes.CDLL, parent: int, writer: int) -> None:
    """Runs the work and exits; never returns, because the code after the fork belongs to the parent."""
    answer = b"no answer"
    try:
        # A signal for the parent must not also wake its event loop from here, nor cut off an answer.
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        if hasattr(libc, "prctl"):
            # A copy that outlives its parent would keep the port that the parent's successor needs.
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == parent:
            answer = SUCCESS + str(work()).encode()
    except BaseException as exc:  # noqa: BLE001 - process boundary: the parent raises it
        answer = str(exc).encode()
    finally:
        os.write(writer, answer[:4000])
        os._exit(0)


async def _wait(pid: int, reader: int, timeout_s: float) -> bytes:
    """Return what the copy wrote once it has ended; kill it on cancellation or timeout."""
    deadline = time.monotonic() + timeout_s
    ended = False
    try:
        while time.monotonic() < deadline:
            ended = os.waitpid(pid, os.WNOHANG)[0] == pid
            if ended:
                return os.read(reader, 4000)
            await asyncio.sleep(POLL_S)
    finally:
        if not ended:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    raise CopyFailed(f"it took longer than {timeout_s:.0f} s")


def _number(answer: bytes) -> int:
    if not answer.startswith(SUCCESS):
        raise CopyFailed(answer.decode(errors="replace") or "the copy was killed")
    return int(answer[1:])
