"""What the studio spent, by model and day, and how well it was foretold: for admins."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from services.aws.table import Item, Table
from services.billing import estimate_accuracy
from services.errors import NotAllowed
from services.records import Record, Role, User
from services.store import keys

MOST_DAYS = 31
# Models times shards: what one day may hold.
MOST_ITEMS = 400


class CostRow(Record):
    """One model over a span, or over one day of it. Errors are medians, 0.2 for 20 per cent; None: nothing counted."""

    model: str
    jobs: int
    images: int
    gpu_s: float
    cost_usd: float
    cold_starts: int
    price_error: float | None
    time_error: float | None


class DayCost(Record):
    """What one model cost on one UTC day."""

    day: date
    model: str
    cost_usd: float


class CostReport(Record):
    """The models, the dearest first, all of them together, and each day that anything was drawn on."""

    since: date
    until: date
    models: tuple[CostRow, ...]
    total: CostRow
    days: tuple[DayCost, ...]


class Costs:
    """Reads the day's usage that the ledger counts."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def report(self, user: User, *, days: int, today: date | None = None) -> CostReport:
        """The last `days` UTC days, today included. Raises NotAllowed for who is no admin.

        One AWS call a day, 31 at most; a model that is no longer offered is in it too.
        """
        if user.role is not Role.ADMIN:
            raise NotAllowed("Only an admin may see what the studio costs.")
        until = today or datetime.now(UTC).date()
        span = [until - timedelta(days=back) for back in range(min(days, MOST_DAYS))]
        by_day = {day: self._models_of(day) for day in span}
        by_model: dict[str, list[Item]] = {}
        for models in by_day.values():
            for model, items in models.items():
                by_model.setdefault(model, []).extend(items)
        rows = [_row(model, items) for model, items in by_model.items()]
        return CostReport(
            since=span[-1],
            until=until,
            models=tuple(sorted(rows, key=lambda row: (-row.cost_usd, row.model))),
            total=_row("", [item for items in by_model.values() for item in items]),
            days=tuple(
                DayCost(day=day, model=model, cost_usd=_sum(items, "cost_micros") / 1e6)
                for day in reversed(span)
                for model, items in sorted(by_day[day].items())
            ),
        )

    def _models_of(self, day: date) -> dict[str, list[Item]]:
        at = datetime(day.year, day.month, day.day, tzinfo=UTC)
        items, _ = self._table.query(keys.usage_key(at, "", 0)[0], "", limit=MOST_ITEMS, newest_first=False)
        models: dict[str, list[Item]] = {}
        for item in items:
            models.setdefault(item["SK"].rpartition("#")[0], []).append(item)
        return models


def _row(model: str, items: Sequence[dict[str, Any]]) -> CostRow:
    return CostRow(
        model=model,
        jobs=_sum(items, "jobs"),
        images=_sum(items, "images"),
        gpu_s=_sum(items, "gpu_ms") / 1000,
        cost_usd=_sum(items, "cost_micros") / 1e6,
        cold_starts=_sum(items, "cold_starts"),
        price_error=estimate_accuracy.median_error(items, estimate_accuracy.PRICE),
        time_error=estimate_accuracy.median_error(items, estimate_accuracy.TIME),
    )


def _sum(items: Sequence[dict[str, Any]], name: str) -> int:
    return sum(int(item.get(name, 0)) for item in items)
