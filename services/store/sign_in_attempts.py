"""How often a password was wrong lately: a counter for each origin of attempts, which expires."""

from __future__ import annotations

from collections.abc import Callable

from services.aws.table import ConditionFailed, Table, Update
from services.store import keys

PK = "SIGNIN#"
SK = "ATTEMPTS"
# How often a counter is read again when other attempts changed it meanwhile.
MOST_RACES = 5


class SignInAttemptStore:
    """The counters of all origins; of an origin only a hash is kept."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def count(self, origin: tuple[str, ...], at: int, wait_s: Callable[[int], int], *, keep_s: int) -> int:
        """Counts an attempt at `at` (seconds since 1970), unless it comes too early: then returns how many seconds.

        `wait_s` says how long the next attempt must wait after so many failures. The attempt is counted before the
        password is checked, so parallel attempts cannot pass together. Two AWS calls, more while others race.
        """
        key = (PK + keys.digest(*origin), SK)
        item = self._table.get(*key)
        for _ in range(MOST_RACES):
            # DynamoDB removes expired items late.
            known = item if item is not None and item["expires_at"] > at else None
            if known is not None and known["open_at"] > at:
                return int(known["open_at"]) - at
            failures = 1 + (int(known["failures"]) if known is not None else 0)
            change = Update(
                key=key,
                assign={"failures": failures, "open_at": at + wait_s(failures), "expires_at": at + keep_s},
                condition="attribute_not_exists(PK)"
                if item is None
                else "#failures = :seen AND #expires_at = :expiry",
                values={} if item is None else {":seen": item["failures"], ":expiry": item["expires_at"]},
            )
            try:
                self._table.update(change)
            except ConditionFailed as exc:
                item = exc.current
            else:
                return 0
        return 1

    def clear(self, origin: tuple[str, ...]) -> None:
        """Forgets the failures of an origin. One AWS call."""
        self._table.delete(PK + keys.digest(*origin), SK)
