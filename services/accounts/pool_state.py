"""What the user pool says about a person now: gone, disabled, or a member of some groups."""

from __future__ import annotations

import time

from services.aws.user_pool import PoolUser, UserPool
from services.errors import Unavailable

# How long a person who was disabled or demoted in the pool still gets in.
FRESH_S = 120.0
# How long the last answer counts while Cognito is away.
STALE_S = 900.0
MOST_KEPT = 10_000


class PoolState:
    """The pool's users, each remembered for two minutes in this process."""

    def __init__(self, pool: UserPool) -> None:
        self._pool = pool
        self._known: dict[str, tuple[float, PoolUser | None]] = {}

    def of(self, user_id: str) -> PoolUser | None:
        """The user in the pool; None for one who was deleted. Two AWS calls each two minutes and user.

        Raises Unavailable when Cognito is away and the last answer is over 15 minutes old.
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
        """Asks the pool again at the next use."""
        self._known.pop(user_id, None)
