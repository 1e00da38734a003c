"""A person's current state in the user pool: deleted, disabled, and group membership."""

from __future__ import annotations

import time

from services.aws.user_pool import PoolUser, UserPool
from services.errors import Unavailable

# How long access lasts after a person is disabled or demoted in the pool.
FRESH_S = 120.0
# How long the last answer is used while Cognito is unreachable.
STALE_S = 900.0
MOST_KEPT = 10_000


class PoolState:
    """The pool's users, each cached for two minutes in this process."""

    def __init__(self, pool: UserPool) -> None:
        self._pool = pool
        self._known: dict[str, tuple[float, PoolUser | None]] = {}

    def of(self, user_id: str) -> PoolUser | None:
        """Returns the user in the pool; None if deleted. Two AWS calls per user every two minutes.

        Raises Unavailable if Cognito is unreachable and the last answer is over 15 minutes old.
        """
        known = self._known.get(user_id)
        if known is not None and time.monotonic() - known[0] < FRESH_S:
            return known[1]
        try:
            found = self._pool.find(user_id)
        except Unavailable:
            if known is not None and time.monotonic() - known[0] < STALE_S:
                return known[1]
            raise
        if len(self._known) >= MOST_KEPT:
            self._known.clear()
        self._known[user_id] = (time.monotonic(), found)
        return found

    def forget(self, user_id: str) -> None:
        """Clears the cache entry."""
        self._known.pop(user_id, None)
