"""The studio's budget of a month, as items that no job must share with every other.

A month has a pot and 16 shards. A job spends from the shard that its id leads to, and gives back there; a shard leases
its money from the pot. `free_micros` may be spent, `returned_micros` came back from ended jobs and may be spent once
the pot is seen to owe nothing, `spent_micros` is what jobs cost or have reserved. Each change moves money between these
attributes in one transaction, so that all of them together are always the pot's `budget_micros`. Amounts are in
micro-dollars.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.aws.table import ConditionFailed, Item, Table, TransactionRefused, Update
from services.store import keys
from services.store.writes import Write

SHARDS = 16
KEPT = timedelta(days=400)
LABEL = "studio"


@dataclass(frozen=True)
class Pot:
    """What no shard has leased, less than nothing after a lowered budget; and what it was reckoned from."""

    free: int
    budget: int
    # What the one counter of before said when it was last deducted.
    counted: int


@dataclass(frozen=True)
class Shard:
    """The money of one shard."""

    free: int = 0
    returned: int = 0
    spent: int = 0

    @property
    def leased(self) -> int:
        """What it holds unspent."""
        return self.free + self.returned


@dataclass(frozen=True)
class Month:
    """A month's money; `before` is what was spent in it when the studio had one counter. No pot: nobody opened it."""

    pot: Pot | None
    shards: tuple[Shard, ...]
    before: int

    @property
    def leased(self) -> int:
        """What all shards hold unspent."""
        return sum(shard.leased for shard in self.shards)

    @property
    def free(self) -> int:
        """What may still be spent; less than nothing when the budget was lowered below what is spent."""
        return self.leased + (self.pot.free if self.pot else 0)

    @property
    def spent(self) -> int:
        """What ended jobs cost, and what is reserved for the others."""
        return self.before + sum(shard.spent for shard in self.shards)


@dataclass(frozen=True)
class Gift:
    """What a shard hands over, to another one or to the pot."""

    shard: int
    free: int
    returned: int


@dataclass(frozen=True)
class Draw:
    """How a shard that has too little comes by `amount`: what came back to it, a lease of the pot, gifts of others."""

    shard: int
    amount: int
    returned: int
    lease: int
    gifts: tuple[Gift, ...]


def shard_of(job_id: str) -> int:
    """The shard of a job's money and of its day's counts: settling must find what reserving chose."""
    return int(keys.digest(job_id)[:4], 16) % SHARDS


def take(at: datetime, shard: int, amount: int) -> Write:
    """The write that reserves `amount` from what the shard has; its condition fails when that is less."""
    return Update(
        key=_shard_key(at, shard),
        label=LABEL,
        assign=_expiry(at),
        add={"free_micros": -amount, "spent_micros": amount},
        condition="#free_micros >= :amount",
        values={":amount": amount},
    )


def draw(at: datetime, drawn: Draw) -> list[Write]:
    """The writes that reserve as planned; their conditions fail when somebody was there first."""
    left = (
        drawn.amount - drawn.returned - drawn.lease - sum(gift.free + gift.returned for gift in drawn.gifts)
    )
    return [
        _change(at, drawn.shard, free=-left, returned=-drawn.returned, spent=drawn.amount),
        # Also without a lease: a pot that owes money lets nothing be spent that came back.
        _pour(at, -drawn.lease),
        *(_change(at, gift.shard, free=-gift.free, returned=-gift.returned) for gift in drawn.gifts),
    ]


def give_back(at: datetime, shard: int, amount: int) -> Write:
    """The write that returns what of a reservation, made at `at`, was not spent."""
    return Update(
        key=_shard_key(at, shard),
        label=LABEL,
        assign=_expiry(at),
        add={"returned_micros": amount, "spent_micros": -amount},
    )


class SpendStore:
    """Reads a month's money and moves what is in no job's transaction."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def read(self, at: datetime) -> Month:
        """Each item as it is, though not all at the same moment. One AWS call."""
        return _month(at, self._table.get_many(_all_keys(at)))

    def snapshot(self, at: datetime) -> Month:
        """All items as they were at one moment. One AWS call, and one more for each write that it meets."""
        return _month(at, self._table.snapshot(_all_keys(at)))

    def set_pot(self, at: datetime, seen: Pot | None, *, budget: int, before: int) -> bool:
        """Opens the pot, or changes its budget; `before` is what the one counter of before says now.

        False, and nothing happened, when the pot is not as `seen` any more. One AWS call, two then.
        """
        known = seen or Pot(free=0, budget=0, counted=0)
        change = Update(
            key=_pot_key(at),
            assign={"budget_micros": budget, "counted_micros": before} | _expiry(at),
            add={"free_micros": (budget - known.budget) - (before - known.counted)},
            condition="#budget_micros = :budget AND #counted_micros = :counted"
            if seen
            else "attribute_not_exists(PK)",
            values={":budget": known.budget, ":counted": known.counted} if seen else {},
        )
        try:
            self._table.update(change)
        except ConditionFailed:
            return False
        return True

    def recall(self, at: datetime, gifts: Sequence[Gift]) -> None:
        """Moves unspent money of shards back into the pot. Nothing happens when one has less. One AWS call."""
        moves = [_change(at, gift.shard, free=-gift.free, returned=-gift.returned) for gift in gifts]
        try:
            self._table.transact([*moves, _pour(at, sum(gift.free + gift.returned for gift in gifts))])
        except TransactionRefused:
            return


def _change(at: datetime, shard: int, *, free: int, returned: int, spent: int = 0) -> Update:
    """Adds to a shard's money; what is taken must be there."""
    taken = {"free_micros": -free, "returned_micros": -returned}
    needed = {name: amount for name, amount in taken.items() if amount > 0}
    return Update(
        key=_shard_key(at, shard),
        label=LABEL,
        assign=_expiry(at),
        add={"free_micros": free, "returned_micros": returned, "spent_micros": spent},
        condition=" AND ".join(f"#{name} >= :{name}" for name in needed),
        values={f":{name}": amount for name, amount in needed.items()},
    )


def _pour(at: datetime, amount: int) -> Update:
    """Adds to the pot; taking, even nothing, needs a pot that has as much."""
    pouring_in = amount > 0
    return Update(
        key=_pot_key(at),
        label=LABEL,
        add={"free_micros": amount},
        condition="" if pouring_in else "#free_micros >= :amount",
        values={} if pouring_in else {":amount": -amount},
    )


def _month(at: datetime, items: Mapping[tuple[str, str], Item]) -> Month:
    pot = items.get(_pot_key(at))
    return Month(
        pot=Pot(pot["free_micros"], pot["budget_micros"], pot["counted_micros"]) if pot else None,
        shards=tuple(_shard(items.get(_shard_key(at, shard), {})) for shard in range(SHARDS)),
        before=items.get(_counter_key(at), {}).get("spent_micros", 0),
    )


def _shard(item: Item) -> Shard:
    return Shard(
        free=item.get("free_micros", 0),
        returned=item.get("returned_micros", 0),
        spent=item.get("spent_micros", 0),
    )


def _all_keys(at: datetime) -> list[tuple[str, str]]:
    return [_pot_key(at), _counter_key(at), *(_shard_key(at, shard) for shard in range(SHARDS))]


def _pot_key(at: datetime) -> tuple[str, str]:
    return keys.STUDIO_PK, f"{_prefix(at)}pot"


def _shard_key(at: datetime, shard: int) -> tuple[str, str]:
    # With a letter: `#0` is the counter of before.
    return keys.STUDIO_PK, f"{_prefix(at)}s{shard:02d}"


def _counter_key(at: datetime) -> tuple[str, str]:
    """Version 0.1 counted every job's money here, and a process of it may still do so while others are updated."""
    return keys.STUDIO_PK, f"{_prefix(at)}0"


def _prefix(at: datetime) -> str:
    return f"SPEND#{at:%Y-%m}#"


def _expiry(at: datetime) -> dict[str, int]:
    return {"expires_at": int((at + KEPT).timestamp())}
