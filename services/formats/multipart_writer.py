"""A stream that is written once and sent in parts, to create a ZIP of any size in bounded memory."""

from __future__ import annotations

import io
from collections.abc import Callable


class PartStream(io.RawIOBase):
    """Sends written bytes through `send` in order, in parts of `part_bytes`.

    Bytes not yet sent can be overwritten, as `zipfile` does with the header of the entry it has just written. Call
    `hand_on` between entries and `finish` at the end.
    """

    def __init__(self, send: Callable[[bytes], None], part_bytes: int) -> None:
        super().__init__()
        self._send = send
        self._part_bytes = part_bytes
        self._gone = 0
        self._tail = bytearray()
        self._at = 0

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Seeks within the bytes not yet sent. Raises OSError for an earlier position."""
        starts = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.size}
        target = starts[whence] + offset
        if not self._gone <= target <= self.size:
            raise OSError("that part of the stream has left")
        self._at = target
        return target

    def write(self, data: bytes | bytearray | memoryview) -> int:  # type: ignore[override]
        start = self._at - self._gone
        self._tail[start : start + len(data)] = data
        self._at += len(data)
        return len(data)

    @property
    def size(self) -> int:
        """Number of bytes written so far, sent or not."""
        return self._gone + len(self._tail)

    def hand_on(self) -> None:
        """Sends all complete parts."""
        while len(self._tail) >= self._part_bytes:
            self._leave(self._part_bytes)

    def finish(self) -> None:
        """Sends the rest."""
        self.hand_on()
        if self._tail:
            self._leave(len(self._tail))

    def _leave(self, length: int) -> None:
        self._send(bytes(self._tail[:length]))
        del self._tail[:length]
        self._gone += length
