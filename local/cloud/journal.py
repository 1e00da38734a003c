"""The write-ahead journal: appends the records of requests, and says when they are on disk.

Requests that wait at the same time share one write and one `fdatasync` (group commit). Space is reserved before a
request is carried out, so a full disk refuses requests instead of losing them.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable
from pathlib import Path

# Reserved at once, and the least that must be left before a request is carried out: more than the largest
# transaction of DynamoDB (4 MB).
RESERVE_BYTES = 8_000_000
LEAST_BYTES = 6_000_000
RETRY_S = 0.5


class NotDurable(Exception):
    """What was asked cannot be written to disk; the message says why."""


class Journal:
    """One open journal file and the thread that writes to it."""

    def __init__(self, path: Path, *, end: int, say: Callable[[str], None]) -> None:
        """Appends to `path` at offset `end`, where its last valid record ends. Raises OSError."""
        self._say = say
        self._file = _open(path)
        self._end = end
        self._reserved = 0
        self._changed = threading.Condition()
        self._waiting: list[bytes] = []
        self._appended = self._written = 0
        self._trouble: OSError | None = None
        self._closing = False
        self._looks: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []
        self._thread = threading.Thread(target=self._write_forever, name="journal", daemon=True)
        self._thread.start()

    @property
    def size_bytes(self) -> int:
        """How much the journal holds, without its reserved space."""
        return self._end

    def check_room(self) -> None:
        """Returns if any request could be recorded now. Raises NotDurable."""
        with self._changed:
            trouble = self._trouble
            room = self._reserved - self._end - sum(map(len, self._waiting))
            if trouble is None and room < LEAST_BYTES:
                try:
                    size = self._end + RESERVE_BYTES
                    os.posix_fallocate(self._file, self._end, RESERVE_BYTES)
                    self._reserved = size
                except OSError as exc:
                    trouble = exc
        if trouble is not None:
            raise NotDurable(f"the journal cannot be written: {trouble.strerror or trouble}")

    def append(self, line: bytes) -> None:
        """Adds a line. It is on disk when a call of `durable` that began after this returns. Thread-safe."""
        with self._changed:
            self._waiting.append(line)
            self._appended += 1
            self._changed.notify_all()

    async def durable(self) -> None:
        """Returns when everything appended before is on disk. Raises NotDurable while that cannot be done."""
        target = self._appended
        look = asyncio.Event()
        entry = (asyncio.get_running_loop(), look)
        while self._written < target:
            with self._changed:
                if self._written >= target:
                    return
                if self._trouble is not None:
                    raise NotDurable(f"the journal cannot be written: {self._trouble.strerror}")
                self._looks.append(entry)
            await look.wait()
            look.clear()

    def rotate(self, path: Path) -> None:
        """Writes everything that is appended from now on to `path`. Raises OSError; then nothing has changed."""
        file = _open(path)
        try:
            os.posix_fallocate(file, 0, RESERVE_BYTES)
        except OSError:
            os.close(file)
            path.unlink(missing_ok=True)
            raise
        with self._changed:
            # What waits still belongs to the old file.
            while self._waiting or self._written < self._appended:
                if self._trouble is not None:
                    os.close(file)
                    path.unlink(missing_ok=True)
                    raise self._trouble
                self._changed.wait()
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self._end)
            os.close(self._file)
            self._file, self._end, self._reserved = file, 0, RESERVE_BYTES

    def close(self) -> None:
        """Writes what waits, gives back the reserved space, and closes the file. Raises NotDurable."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()
        if self._written < self._appended:
            os.close(self._file)
            raise NotDurable(f"{self._appended - self._written} changes could not be written to the journal")
        with contextlib.suppress(OSError):
            os.ftruncate(self._file, self._end)
        os.close(self._file)

    def _write_forever(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closing:
                    self._changed.wait()
                if not self._waiting:
                    return
                lines, self._waiting = self._waiting, []
            try:
                self._write(b"".join(lines))
            except OSError as exc:
                with self._changed:
                    self._waiting[:0] = lines
                    if self._trouble is None:
                        self._say(f"the journal cannot be written: {exc}; nothing is changed until it can")
                    self._trouble = exc
                    self._wake()
                    if self._closing:
                        return
                    self._changed.wait(RETRY_S)
                continue
            with self._changed:
                if self._trouble is not None:
                    self._say("the journal can be written again")
                self._trouble = None
                self._written += len(lines)
                self._wake()

    def _write(self, data: bytes) -> None:
        done = 0
        while done < len(data):
            done += os.pwrite(self._file, data[done:], self._end + done)
        os.fdatasync(self._file)
        # Only now: a write that failed half-way is repeated from its beginning.
        self._end += len(data)

    def _wake(self) -> None:
        """Called with the lock held."""
        looks, self._looks = self._looks, []
        for loop, look in looks:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(look.set)
        self._changed.notify_all()


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
