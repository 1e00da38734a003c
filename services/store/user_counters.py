"""A user's totals: money this month, pictures today, open jobs. Each has a limit.

They belong to one user, so jobs of other users never contend for them. Amounts are in micro-dollars.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from services.aws.table import Item, Table, Update
from services.store import keys
from services.store.writes import Write

MONTH_KEPT = timedelta(days=400)
DAY_KEPT = timedelta(days=40)
OPEN_SK = "QUOTA#open"


@dataclass(frozen=True)
class Limits:
    """A user's limits: spending per month, pictures per UTC day, open jobs."""

    month_micros: int
    day_images: int
    open_jobs: int


@dataclass(frozen=True)
class Day:
    """The pictures of a day, including those being drawn, and what its jobs were charged."""

    images: int = 0
    cost_micros: int = 0


@dataclass(frozen=True)
class Counters:
    """A user's counters; `days` has only the requested days."""

    month_micros: int
    open_jobs: int
    days: dict[date, Day]


def reserve(user_id: str, at: datetime, *, micros: int, images: int, limits: Limits) -> list[Write]:
    """Returns the writes that count a new job, labeled `month`, `day`, and `open` after their limits."""
    pk = keys.user_pk(user_id)
    return [
        _count(pk, _month_sk(at), "month", "spent_micros", micros, limits.month_micros, at + MONTH_KEPT),
        _count(pk, _day_sk(at), "day", "images", images, limits.day_images, at + DAY_KEPT),
        _count(pk, OPEN_SK, "open", "jobs", 1, limits.open_jobs, None),
    ]


def release(
    user_id: str, at: datetime, *, give_back_micros: int, cost_micros: int = 0, give_back_images: int = 0
) -> list[Write]:
    """Returns the writes for the end of a job that was reserved at `at`: one open job less, and the final amounts."""
    pk = keys.user_pk(user_id)
    day = {"cost_micros": cost_micros, "images": -give_back_images}
    counted = {name: number for name, number in day.items() if number}
    writes: list[Write] = [
        Update(key=(pk, _month_sk(at)), label="month", add={"spent_micros": -give_back_micros}),
        Update(key=(pk, OPEN_SK), label="open", add={"jobs": -1}),
    ]
    if counted:
        writes.append(Update(key=(pk, _day_sk(at)), label="day", add=counted))
    return writes


class UserCounters:
    """Reads what is counted."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def read(self, user_id: str, month: datetime, days: Sequence[datetime]) -> Counters:
        """Returns the user's counters of a month and of several days. One AWS call."""
        pk = keys.user_pk(user_id)
        wanted = [_month_sk(month), OPEN_SK, *(_day_sk(day) for day in days)]
        items = {sk: item for (_, sk), item in self._table.get_many((pk, sk) for sk in wanted).items()}
        return Counters(
            month_micros=items.get(_month_sk(month), {}).get("spent_micros", 0),
            open_jobs=items.get(OPEN_SK, {}).get("jobs", 0),
            days={day.date(): _day(items.get(_day_sk(day), {})) for day in days},
        )


def _day(item: Item) -> Day:
    return Day(images=item.get("images", 0), cost_micros=item.get("cost_micros", 0))


def _month_sk(at: datetime) -> str:
    return f"SPEND#{at:%Y-%m}#0"


def _day_sk(at: datetime) -> str:
    return f"QUOTA#{at:%Y-%m-%d}"


def _count(
    pk: str, sk: str, label: str, name: str, amount: int, limit: int, expires: datetime | None
) -> Update:
    return Update(
        key=(pk, sk),
        label=label,
        assign={"expires_at": int(expires.timestamp())} if expires else {},
        add={name: amount},
        condition=f"attribute_not_exists(#{name}) OR #{name} <= :room",
        values={":room": limit - amount},
    )
