"""Records of each model's endpoint: whether the last look found it awake, and its last wake-ups."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from services.aws.table import ConditionFailed, Item, Put, Table, TransactionRefused, Update
from services.store import keys
from services.store.writes import Write


def wakes_key(model: str) -> tuple[str, str]:
    """Returns the key of a model's wake-ups."""
    return keys.STUDIO_PK, f"WAKES#{model}"


def wake_entries(item: Item | None) -> list[str]:
    """Returns the wake-ups in a record, oldest first: `<job>:<seconds>`."""
    return list(item.get("entries", [])) if item else []


class EndpointRecords:
    """Both records of every model."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def awake(self, model: str) -> bool | None:
        """Whether the last look found the model awake; None before the first look. One AWS call."""
        item = self._table.get(*_awake_key(model))
        return None if item is None else bool(item["awake"])

    def note_first_look(self, model: str, *, awake: bool, looked_at: datetime) -> None:
        """Records a first look unless another worker was faster. One AWS call."""
        pk, sk = _awake_key(model)
        first = {"PK": pk, "SK": sk, "awake": awake, "looked_at": _stamp(looked_at)}
        self._write([Put(item=first, label="awake", condition="attribute_not_exists(PK)")])

    def note_change(
        self, model: str, *, awake: bool, looked_at: datetime, extra_writes: Sequence[Write]
    ) -> bool:
        """Records that the model woke or fell asleep, with `extra_writes` in one transaction. One AWS call.

        Returns False if another worker was faster, the record is from a later look, or an earlier try succeeded but its
        answer was lost.
        """
        change = Update(
            key=_awake_key(model),
            label="awake",
            assign={"awake": awake, "looked_at": _stamp(looked_at)},
            # Only a later look counts: a delayed one must not overwrite the record.
            condition="#awake = :before AND #looked_at < :at",
            values={":before": not awake, ":at": _stamp(looked_at)},
        )
        return self._write([change, *extra_writes])

    def wakes(self, model: str) -> list[str]:
        """Returns the model's last wake-ups, oldest first. One AWS call."""
        return wake_entries(self._table.get(*wakes_key(model)))

    def replace_wakes(self, model: str, *, before: Sequence[str], entries: Sequence[str]) -> bool:
        """Replaces the wake-ups; returns False if they are no longer `before`. One AWS call, then two."""
        change = Update(
            key=wakes_key(model),
            assign={"entries": list(entries)},
            condition="#entries = :before" if before else "attribute_not_exists(PK)",
            values={":before": list(before)} if before else {},
        )
        try:
            self._table.update(change)
        except ConditionFailed:
            return False
        return True

    def _write(self, writes: Sequence[Write]) -> bool:
        try:
            self._table.transact(writes)
        except TransactionRefused:
            return False
        return True


def _awake_key(model: str) -> tuple[str, str]:
    return keys.STUDIO_PK, f"AWAKE#{model}"


def _stamp(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds")
