"""The studio's budget, spent by all jobs and written by no two of them more than they must (docs/decisions/0008).

A job takes its money from a shard. A shard that has too little draws on the pot, and when that is dry on the other
shards, in the transaction that creates the job: nobody can take what was just borrowed. A job is refused only after a
look at everything at one moment that found less than it needs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from services.aws.contention import attempts
from services.errors import Unavailable
from services.logs import event
from services.store import spend
from services.store.spend import SHARDS, Draw, Gift, Month, Pot, Shard, SpendStore
from services.store.writes import TransactionRefused, Write

# What a shard leases beyond its need is this part of the pot: 16 shards leave it half full, and never empty it at once.
LEASE = 2 * SHARDS


class StudioBudget:
    """Reserves; ended jobs give back by `spend.give_back`."""

    def __init__(self, store: SpendStore) -> None:
        self._store = store
        # Months whose pot this process has set to its own budget.
        self._opened: set[str] = set()

    def reserve(
        self,
        at: datetime,
        shard: int,
        amount: int,
        budget: int,
        create: Callable[[Sequence[Write]], None],
    ) -> bool:
        """Has `create` run the writes that reserve `amount` of the month's `budget`, in micro-dollars, for a shard.

        False when less than that is free. Raises TransactionRefused for what else `create` met, and Unavailable when
        others were faster for ten seconds.
        """
        writes = [spend.take(at, shard, amount)]
        if _name(at) not in self._opened:
            # When there is too little, the transaction may still find that the job is there already.
            writes = self._planned(at, shard, amount, budget, self._store.read) or writes
        for _ in attempts():
            try:
                create(writes)
            except TransactionRefused as exc:
                if exc.failed != {spend.LABEL}:
                    raise
            else:
                return True
            planned = self._planned(at, shard, amount, budget, self._store.read) or self._planned(
                at, shard, amount, budget, self._store.snapshot
            )
            if planned is None:
                event("studio_budget_reached", month=_name(at), amount_usd=amount / 1e6)
                return False
            writes = planned
        raise Unavailable("Many requests are spending from the studio's budget. Try again in a few seconds.")

    def _planned(
        self, at: datetime, shard: int, amount: int, budget: int, look: Callable[[datetime], Month]
    ) -> list[Write] | None:
        drawn = plan(self._in_order(at, budget, look), shard, amount)
        return spend.draw(at, drawn) if drawn else None

    def _in_order(self, at: datetime, budget: int, look: Callable[[datetime], Month]) -> Month:
        """The month once its pot is open, has this process's budget, has counted what version 0.1 spent, and has called
        back what it owes. One AWS call when it is; one or two more for each of these that is not.
        """
        for _ in attempts():
            month = look(at)
            pot = month.pot
            wanted = pot.budget if pot and _name(at) in self._opened else budget
            if pot is None or (pot.budget, pot.counted) != (wanted, month.before):
                self._store.set_pot(at, pot, budget=wanted, before=month.before)
            elif pot.free < 0 < month.leased:
                self._recall(at, pot, month)
            else:
                self._opened.add(_name(at))
                return month
        raise Unavailable("Many requests are spending from the studio's budget. Try again in a few seconds.")

    def _recall(self, at: datetime, pot: Pot, month: Month) -> None:
        """Takes back from the shards, the richest first, what a lowered budget has made the pot owe."""
        owed = -pot.free
        for number in _richest_first(month.shards):
            shard = month.shards[number]
            if owed <= 0 or shard.leased <= 0:
                return
            self._store.recall(at, number, shard, at_most=owed)
            owed -= min(owed, shard.leased)


def plan(month: Month, shard: int, amount: int) -> Draw | None:
    """How the shard comes by `amount`; None when the month has less. A pot that owes has called back all leases."""
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
        # Half of what it has, so that the next job need not ask again; all of it when that is not enough.
        given = min(has, max(missing, has // 2))
        missing -= given
        gifts.append(_gift(number, month.shards[number], given))
    return Draw(shard, amount, own.returned, lease, tuple(gifts))


def _gift(number: int, shard: Shard, amount: int) -> Gift:
    returned = min(shard.returned, amount)
    return Gift(number, free=amount - returned, returned=returned)


def _richest_first(shards: Sequence[Shard]) -> list[int]:
    return sorted(range(len(shards)), key=lambda number: -shards[number].leased)


def _name(at: datetime) -> str:
    return f"{at:%Y-%m}"
