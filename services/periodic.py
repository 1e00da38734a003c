"""A background thread that repeats a read while its result is needed, and sleeps otherwise."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from services.logs import event


class PeriodicReader:
    """Runs `read` every `interval_s` seconds; sleeps after `wanted_s` seconds without a request.

    `read` runs on one thread at a time. A failed round is logged as `<name>_failed`, and the next one follows as usual.
    The thread starts with the first request, so an unused reader costs nothing.
    """

    def __init__(self, name: str, read: Callable[[], object], *, interval_s: float, wanted_s: float) -> None:
        self._name = name
        self._read = read
        self._interval_s = interval_s
        self._wanted_s = wanted_s
        self._asked_at = float("-inf")
        # There was a request, and no round has begun since.
        self._unanswered = False
        # A caller waits for a round: the next one begins without a pause.
        self._hurried = False
        self._sleeping = False
        self._closed = False
        self._thread: threading.Thread | None = None
        # Guards all of the above. Waiters test their condition while holding it, so that no wake-up is lost.
        self._changed = threading.Condition()

    def ask(self) -> None:
        """Requests the reading. Returns immediately."""
        with self._changed:
            self._ask()

    def wait_for(self, is_read: Callable[[], bool], *, timeout_s: float) -> bool:
        """Requests a round now and waits until `is_read()` is true; returns False after `timeout_s` seconds.

        `is_read` is called after each round. It must not block or call this reader.
        """
        with self._changed:
            self._ask()
            self._hurried = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._closed or is_read(), timeout_s)
            return is_read()

    def close(self) -> None:
        """Ends the thread after the current round. Later requests start no other."""
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
        """Sleeps until a round is requested; returns False once the reader is closed."""
        with self._changed:
            self._sleeping = True
            self._changed.wait_for(lambda: self._closed or self._unanswered or self._is_wanted())
            self._sleeping = self._unanswered = self._hurried = False
            return not self._closed

    def _is_wanted(self) -> bool:
        return time.monotonic() - self._asked_at <= self._wanted_s
