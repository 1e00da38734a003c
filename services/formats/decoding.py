"""Limits how many pictures are decoded at once, because a small file can hold many pixels.

A 0.2 MB PNG can decode to 100 MB and take a second. Without a bound, a few such files would fill the memory, and the
requests that wait for them would hold every thread.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from services.errors import Unavailable
from services.formats.image_header import MAX_PIXELS, read_header
from services.sentences import sentence

# The studio runs on two cores, and decoding takes one of them.
AT_ONCE = 2
# Those under way and those waiting, of all users and of one: half of the API's threads stay free.
MOST_TURNS, MOST_TURNS_OF_ONE = 8, 3
# A large picture takes a second, and the queue has at most eight.
RETRY_AFTER_S = 5


class Decoding:
    """The turns of all users, first come, first served.

    At most `at_once` turns are under way, with at most `pixels` pixels between them.
    """

    def __init__(
        self,
        *,
        at_once: int = AT_ONCE,
        pixels: int = MAX_PIXELS,
        most: int = MOST_TURNS,
        most_of_one: int = MOST_TURNS_OF_ONE,
    ) -> None:
        self._at_once = at_once
        self._pixels = pixels
        self._most = most
        self._most_of_one = most_of_one
        self._changed = threading.Condition()
        self._waiting: deque[object] = deque()
        self._owners: Counter[str] = Counter()
        self._running: list[int] = []

    @contextmanager
    def turn(self, owner: str, pixels: int) -> Iterator[None]:
        """Waits for a turn to decode `pixels` pixels for the user `owner`.

        Raises Unavailable at once if the queue, or the user's share of it, is full.
        """
        ticket = object()
        with self._changed:
            if self._owners.total() >= self._most or self._owners[owner] >= self._most_of_one:
                raise Unavailable(
                    sentence("Too many pictures are being read at once. Try again in a few seconds."),
                    retry_after_s=RETRY_AFTER_S,
                )
            self._owners[owner] += 1
            self._waiting.append(ticket)
            self._changed.wait_for(lambda: self._waiting[0] is ticket and self._fits(pixels))
            self._waiting.popleft()
            self._running.append(pixels)
            # The next in line may fit beside this one.
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._running.remove(pixels)
                self._owners[owner] -= 1
                if not self._owners[owner]:
                    del self._owners[owner]
                self._changed.notify_all()

    def _fits(self, pixels: int) -> bool:
        if not self._running:
            return True
        return len(self._running) < self._at_once and sum(self._running) + pixels <= self._pixels


# One for the process, whose memory it bounds.
DECODING = Decoding()


def pixels_of(files: Mapping[str, bytes]) -> int:
    """Returns the pixels of the largest of these files, by the name of their field; 0 for none.

    Raises InvalidRequest as `read_header` does.
    """
    headers = [read_header(file, param=param) for param, file in files.items()]
    return max((header.width * header.height for header in headers), default=0)
