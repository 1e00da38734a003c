"""The current time as records store it, and jumps of the wall clock."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

# Smaller differences come from clock corrections or a delayed thread.
JUMP = timedelta(seconds=30)
KEPT = 20


def now() -> datetime:
    """Returns the current time in UTC, to the millisecond, as records store it."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


class ClockJumps:
    """Forward jumps of the wall clock, detected with a clock that stops while the machine sleeps.

    Deadlines in records are wall-clock times. After a laptop has slept for two hours, all of them have passed although
    the jobs did not get their time. Used by one thread.
    """

    def __init__(self) -> None:
        self._last = (now(), time.monotonic())
        # The last moment before each jump, and the first after it.
        self._jumps: list[tuple[datetime, datetime]] = []

    def look(self) -> timedelta | None:
        """Compares the clocks; returns the jump since the last look, if there was one."""
        wall, steady = now(), time.monotonic()
        known_wall, known_steady = self._last
        self._last = (wall, steady)
        expected = known_wall + timedelta(seconds=steady - known_steady)
        if wall - expected < JUMP:
            return None
        self._jumps = [*self._jumps[1 - KEPT :], (expected, wall)]
        return wall - expected

    def lost(self, deadline: datetime) -> timedelta:
        """Returns how much time before `deadline` was lost to jumps; zero if it passed without a jump."""
        return sum(
            (after - before for before, after in self._jumps if before < deadline <= after), start=timedelta()
        )
