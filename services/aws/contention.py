"""Writers that meet on one item: DynamoDB refuses all but one of them, so they line up here and try again there.

DynamoDB refuses a transaction that touches an item of another transaction in progress, and neither it nor boto3 tries
again. Within a process nobody needs to be refused: transactions that share an item go one after the other. Between
processes the refused one tries again, at random moments, for as long as a person would wait.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Hashable, Iterable, Iterator
from contextlib import contextmanager

from services.sentences import sentence

CROWDED = sentence("Many requests are changing the same records. Try again in a few seconds.")
# A transaction takes some 10 ms. After this long, hundreds of writers must be contending for the same item.
CONFLICT_S = 10.0
FIRST_PAUSE_S = 0.02
# Longer pauses would favor recently served processes over those that have waited.
LONGEST_PAUSE_S = 0.15


def attempts() -> Iterator[None]:
    """Yields once for each attempt, at once and then after pauses with jitter, until ten seconds have passed."""
    end = time.monotonic() + CONFLICT_S
    pause_s = FIRST_PAUSE_S
    while True:
        yield
        if time.monotonic() >= end:
            return
        # Full jitter, as in AWS's "Exponential Backoff And Jitter": sleep uniformly in [0, base * 2^attempt].
        time.sleep(random.uniform(0, pause_s))  # noqa: S311 - no secret
        pause_s = min(LONGEST_PAUSE_S, pause_s * 2)


class Line:
    """A queue for the transactions of one process: those with common items run in order, all others run
    concurrently.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._tickets: list[frozenset[Hashable]] = []

    @contextmanager
    def turn(self, items: Iterable[Hashable], limit_s: float = CONFLICT_S) -> Iterator[None]:
        """Waits until no earlier caller holds any of `items`, then holds them.

        Proceeds after `limit_s` seconds in any case: DynamoDB serializes the rest.
        """
        ticket = frozenset(items)
        with self._changed:
            self._tickets.append(ticket)
            self._changed.wait_for(lambda: self._is_first(ticket), limit_s)
        try:
            yield
        finally:
            with self._changed:
                self._leave(ticket)
                self._changed.notify_all()

    def _is_first(self, ticket: frozenset[Hashable]) -> bool:
        for other in self._tickets:
            if other is ticket:
                return True
            if other & ticket:
                return False
        return True

    def _leave(self, ticket: frozenset[Hashable]) -> None:
        # By identity: two tickets for the same items are equal.
        self._tickets = [other for other in self._tickets if other is not ticket]
