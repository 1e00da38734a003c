"""Usage per UTC day: named counts, summed by day, model, and shard."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime

from services.aws.table import Item, Table, Update
from services.store import endpoint_records
from services.store.spend import SHARDS
from services.store.writes import Write

# The most records of one day: models times shards.
MOST_ITEMS = 100 * SHARDS


def usage_key(day: date, model: str, shard: int) -> tuple[str, str]:
    """Returns the key of a shard of a UTC day's usage of a model."""
    return f"DAY#{day:%Y-%m-%d}", f"{model}#{shard}"


def count(at: datetime, model: str, shard: int, counts: Mapping[str, int]) -> Write:
    """Returns the write that adds to the day of `at`."""
    return Update(key=usage_key(at, model, shard), label="usage", add=counts)


class UsageDays:
    """Reads the days."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def of_day(self, day: date) -> dict[str, Counter[str]]:
        """Returns the day's counts by model. One AWS call per megabyte: 40 models and more."""
        items, _ = self._table.query(usage_key(day, "", 0)[0], "", limit=MOST_ITEMS, newest_first=False)
        models: dict[str, Counter[str]] = {}
        for item in items:
            models.setdefault(item["SK"].rpartition("#")[0], Counter()).update(_counts(item))
        return models

    def of_model(self, model: str, days: Iterable[datetime]) -> tuple[Counter[str], list[str]]:
        """Returns a model's counts over several days, and its last wake-ups. One AWS call for up to six days."""
        wakes = endpoint_records.wakes_key(model)
        places = [usage_key(day.astimezone(UTC), model, shard) for day in days for shard in range(SHARDS)]
        found = self._table.get_many([*places, wakes])
        entries = endpoint_records.wake_entries(found.pop(wakes, None))
        total: Counter[str] = Counter()
        for item in found.values():
            total.update(_counts(item))
        return total, entries


def _counts(item: Item) -> dict[str, int]:
    return {name: value for name, value in item.items() if isinstance(value, int)}
