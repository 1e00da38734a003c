"""A background thread that repeats a reading while somebody asks for it, and sleeps while nobody does."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from services.logs import event


class PeriodicReader:
    """Runs `read` every `interval_s` seconds, and sleeps once nobody has asked for `wanted_s` seconds.

    `read` runs on one thread at a time. A round that raises is logged as `<name>_failed`; the next round follows as
    usual. The thread starts with the first question, so that a reader that nobody asks costs nothing.
    """

    def __init__(self, name: str, read: Callable[[], object], *, interval_s: float, wanted_s: float) -> None:
        self._name = name
        self._read = read
        self._interval_s = interval_s
        self._wanted_s = wanted_s
        self._asked_at = float("-inf")
        # Somebody asked, and no round has begun since.
        self._unanswered = False
        # Somebody waits for a round: the next one begins without a pause.
        self._hurried = False
        self._sleeping = False
        self._closed = False
        self._thread: threading.Thread | None = None
        # Guards all of the above. Whoever waits tests its own condition under it, so that no wake-up is lost.
        self._changed = threading.Condition()

    def ask(self) -> None:
        """Says that the reading is wanted. Returns at once."""
        with self._changed:
            self._ask()

    def wait_for(self, is_read: Callable[[], bool], *, timeout_s: float) -> bool:
        """Asks for a round now and waits until `is_read()` holds; returns False after `timeout_s` seconds without that.

        `is_read` is called after each round. It must not block, nor ask this reader.
        """
        with self._changed:
            self._ask()
            self._hurried = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._closed or is_read(), timeout_s)
            return is_read()

    def close(self) -> None:
        """Ends the thread after its present round. Later questions start no other."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _ask(self) -> None:
        self._asked_at = time.monotonic()
        self._unanswered = True
        if self._thread is None and not self._closed:
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()
        elif self._sleeping:
            self._changed.notify_all()

    def _run(self) -> None:
        while self._is_wanted_next():
            try:
                self._read()
            except Exception as exc:  # noqa: BLE001 - the thread's edge: the next round tries again
                event(f"{self._name}_failed", level=logging.WARNING, exc=exc)
            with self._changed:
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._closed or self._hurried, self._interval_s)

    def _is_wanted_next(self) -> bool:
        """Sleeps until somebody wants a round; False once the reader is closed."""
        with self._changed:
            self._sleeping = True
            self._changed.wait_for(lambda: self._closed or self._unanswered or self._is_wanted())
            self._sleeping = self._unanswered = self._hurried = False
            return not self._closed

    def _is_wanted(self) -> bool:
        return time.monotonic() - self._asked_at <= self._wanted_s
