"""The studio's spending by model and day, and the accuracy of its estimates: for admins."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta

from services.billing import estimate_accuracy
from services.errors import NotAllowed
from services.records import Record, Role, User
from services.store.usage_days import UsageDays

MOST_DAYS = 31


class CostRow(Record):
    """One model over a period or a day. Errors are medians, 0.2 for 20 percent; None if nothing was counted.

    `repeats` were drawn twice and charged once, because the answer to an invocation was lost or came late; `gpu_s`
    leaves out their `repeat_gpu_s`.
    """

    model: str
    jobs: int
    images: int
    gpu_s: float
    cost_usd: float
    cold_starts: int
    repeats: int
    repeat_gpu_s: float
    price_error: float | None
    time_error: float | None


class DayCost(Record):
    """What one model cost on one UTC day."""

    day: date
    model: str
    cost_usd: float


class CostReport(Record):
    """The models, most expensive first, their total, and each day with pictures."""

    since: date
    until: date
    models: tuple[CostRow, ...]
    total: CostRow
    days: tuple[DayCost, ...]


class Costs:
    """Reads the daily usage that the ledger counts."""

    def __init__(self, usage: UsageDays) -> None:
        self._usage = usage

    def report(self, user: User, *, days: int, today: date | None = None) -> CostReport:
        """Returns the last `days` UTC days including today. Raises NotAllowed for anyone but admins.

        One AWS call per day, at most 31; includes withdrawn models.
        """
        if user.role is not Role.ADMIN:
            raise NotAllowed("Only an admin may see what the studio costs.")
        until = today or datetime.now(UTC).date()
        span = [until - timedelta(days=back) for back in range(min(days, MOST_DAYS))]
        by_day = {day: self._usage.of_day(day) for day in span}
        by_model: dict[str, Counter[str]] = {}
        everything: Counter[str] = Counter()
        for models in by_day.values():
            for model, counts in models.items():
                by_model.setdefault(model, Counter()).update(counts)
                everything.update(counts)
        rows = [_row(model, counts) for model, counts in by_model.items()]
        return CostReport(
            since=span[-1],
            until=until,
            models=tuple(sorted(rows, key=lambda row: (-row.cost_usd, row.model))),
            total=_row("", everything),
            days=tuple(
                DayCost(day=day, model=model, cost_usd=counts["cost_micros"] / 1e6)
                for day in reversed(span)
                for model, counts in sorted(by_day[day].items())
            ),
        )


def _row(model: str, counts: Counter[str]) -> CostRow:
    return CostRow(
        model=model,
        jobs=counts["jobs"],
        images=counts["images"],
        gpu_s=counts["gpu_ms"] / 1000,
        cost_usd=counts["cost_micros"] / 1e6,
        cold_starts=counts["cold_starts"],
        repeats=counts["repeats"],
        repeat_gpu_s=counts["repeat_gpu_ms"] / 1000,
        price_error=estimate_accuracy.median_error([counts], estimate_accuracy.PRICE),
        time_error=estimate_accuracy.median_error([counts], estimate_accuracy.TIME),
    )
