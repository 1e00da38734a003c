"""The studio's budget, spent by all jobs and written by no two of them more than they must (docs/decisions/0008).

A job takes its money from a shard. A shard that has too little draws on the pot, and when that is dry on the other
shards, in the transaction that creates the job: nobody can take what was just borrowed. A job is refused only after a
look at everything at one moment that found less than it needs.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import datetime

from services.aws.contention import CONFLICT_S, CROWDED, attempts
from services.errors import Unavailable
from services.logs import event
from services.store import spend
from services.store.spend import SHARDS, Draw, Gift, Month, Shard, SpendStore
from services.store.writes import TransactionRefused, Write

# What a shard leases beyond its need is this part of the pot: 16 shards leave it half full, and never empty it at once.
LEASE = 2 * SHARDS


class StudioBudget:
    """Reserves from the studio's budget; ended jobs give back with `spend.give_back`."""

    def __init__(self, store: SpendStore) -> None:
        self._store = store
        # Months whose pot this process has set to its own budget.
        self._opened: set[str] = set()
        # Shards that recently had too little. Writing to them would only conflict with other processes' snapshots.
        self._dry: set[tuple[str, int]] = set()
        self._repairing = threading.Lock()

    def reserve(
        self,
        at: datetime,
        shard: int,
        amount: int,
        budget: int,
        create: Callable[[Sequence[Write]], None],
    ) -> bool:
        """Has `create` run the writes that reserve `amount` of the month's `budget`, in micro-dollars, for a shard.

        False when less than that is free; `create` need not have been called then. Raises TransactionRefused for what
        else `create` met, and Unavailable when others were faster for ten seconds.
        """
        place = (_name(at), shard)
        look_first = place in self._dry or _name(at) not in self._opened
        for _ in attempts():
            writes = (
                self._planned(at, shard, amount, budget) if look_first else [spend.take(at, shard, amount)]
            )
            if writes is None:
                event("studio_budget_reached", month=_name(at), amount_usd=amount / 1e6)
                return False
            try:
                create(writes)
            except TransactionRefused as exc:
                if exc.failed != {spend.LABEL}:
                    raise
                self._dry.add(place)
                look_first = True
            else:
                self._dry.discard(place)
                return True
        raise Unavailable(CROWDED)

    def _planned(self, at: datetime, shard: int, amount: int, budget: int) -> list[Write] | None:
        """Returns the writes that fund the shard; None if a consistent snapshot shows less than the amount.

        One AWS call, two before None.
        """
        for _ in attempts():
            drawn = plan(self._in_order(at, budget), shard, amount)
            if drawn is not None:
                return spend.draw(at, drawn)
            month = self._store.snapshot(at)
            if self._is_in_order(at, month, budget):
                drawn = plan(month, shard, amount)
                return spend.draw(at, drawn) if drawn else None
        raise Unavailable(CROWDED)

    def _in_order(self, at: datetime, budget: int) -> Month:
        """The month once its pot is open, has this process's budget, has counted what version 0.1 spent, and has called
        back what it owes. One AWS call when it is; two more for each of these that is not.
        """
        month = self._store.read(at)
        if self._is_in_order(at, month, budget):
            return month
        # One thread per process does this; the others find it done.
        if not self._repairing.acquire(timeout=CONFLICT_S):
            raise Unavailable(CROWDED)
        try:
            for _ in attempts():
                month = self._store.read(at)
                if self._is_in_order(at, month, budget):
                    return month
                self._put_in_order(at, month, budget)
        finally:
            self._repairing.release()
        raise Unavailable(CROWDED)

    def _is_in_order(self, at: datetime, month: Month, budget: int) -> bool:
        pot = month.pot
        if pot is None or pot.counted != month.before or pot.free < 0 < month.leased:
            return False
        if pot.budget == budget:
            self._opened.add(_name(at))
        # A process sets the budget once: it does not undo what another one, started later, has set.
        return _name(at) in self._opened

    def _put_in_order(self, at: datetime, month: Month, budget: int) -> None:
        """Takes one step: sets the pot, or recalls what it owes."""
        pot = month.pot
        wanted = pot.budget if pot and _name(at) in self._opened else budget
        if pot is None or (pot.budget, pot.counted) != (wanted, month.before):
            if self._store.set_pot(at, pot, budget=wanted, before=month.before):
                # Now, not after the next look: another process may come with another budget meanwhile.
                self._opened.add(_name(at))
        else:
            self._store.recall(at, owed_by(month))


def plan(month: Month, shard: int, amount: int) -> Draw | None:
    """Returns how the shard gets `amount`; None if the month has less. A pot that owes money has recalled all
    leases.
    """
    if month.pot is None or month.free < amount:
        return None
    pot = month.pot.free
    own = month.shards[shard]
    missing = amount - own.leased
    lease = min(pot, missing + pot // LEASE) if missing > 0 else 0
    missing -= lease
    gifts = []
    for number in _richest_first(month.shards):
        if missing <= 0:
            break
        if number == shard:
            continue
        has = month.shards[number].leased
        # Half of the other shard's money, so that the next job need not borrow again; all of it if half is not enough.
        given = min(has, max(missing, has // 2))
        missing -= given
        gifts.append(_gift(number, month.shards[number], given))
    return Draw(shard, amount, own.returned, lease, tuple(gifts))


def owed_by(month: Month) -> tuple[Gift, ...]:
    """Returns what shards give back, richest first, after a lowered budget has left the pot in debt."""
    owed = -month.pot.free if month.pot else 0
    gifts = []
    for number in _richest_first(month.shards):
        given = min(owed, month.shards[number].leased)
        if given > 0:
            gifts.append(_gift(number, month.shards[number], given))
            owed -= given
    return tuple(gifts)


def _gift(number: int, shard: Shard, amount: int) -> Gift:
    returned = min(shard.returned, amount)
    return Gift(number, free=amount - returned, returned=returned)


def _richest_first(shards: Sequence[Shard]) -> list[int]:
    return sorted(range(len(shards)), key=lambda number: -shards[number].leased)


def _name(at: datetime) -> str:
    return f"{at:%Y-%m}"
