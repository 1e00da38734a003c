"""How far estimates are off: kept as counts of log-ratio buckets, from which a median can be read.

A mean would follow the few jobs that went wrong; a list of errors would grow. A bucket stands for actual / estimate =
1.05^n, n from -40 to 40 (a seventh to seven times; what is beyond counts at the end), so that an error is told to
within 2.5 per cent of the ratio. Counts are integers that are added up by day, model and shard.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from services.records import Job

BASE = 1.05
REACH = 40
PRICE = "price_off"
TIME = "time_off"


def counts(job: Job, *, gpu_s: float) -> dict[str, int]:
    """What a succeeded job adds to its day: its bucket of the price, and of the time where that is known.

    The price is the model's seconds at a fixed rate, so the seconds are compared: rounding and the cap of the charge,
    or pictures that were withheld, say nothing about the estimate. An attempt after the first, and one that
    waited for its model, tell no time.
    """
    added = {}
    if (price := bucket(gpu_s, job.estimate.run_s)) is not None:
        added[_name(PRICE, price)] = 1
    # A job that waited for the model had no estimate of the wake-up, and may have woken the model itself in the end.
    if job.attempt == 1 and job.run_by is None and job.took_s is not None:
        took = bucket(job.took_s, job.estimate.total_s)
        if took is not None:
            added[_name(TIME, took)] = 1
    return added


def bucket(actual: float, estimated: float) -> int | None:
    """Returns the bucket of a pair, -REACH to REACH; None unless both are positive."""
    if not (actual > 0 and estimated > 0):
        return None
    return max(-REACH, min(REACH, round(math.log(actual / estimated, BASE))))


def median_error(items: Iterable[Mapping[str, Any]], kind: str) -> float | None:
    """Returns the median of |actual - estimate| / actual over the counts in `items`; None without counts."""
    errors: list[tuple[float, int]] = []
    items = list(items)
    for n in range(-REACH, REACH + 1):
        if seen := sum(int(item.get(_name(kind, n), 0)) for item in items):
            errors.append((abs(1 - BASE**-n), seen))
    errors.sort()
    half, passed = sum(seen for _, seen in errors) / 2, 0
    for error, seen in errors:
        passed += seen
        if passed >= half:
            return error
    return None


def _name(kind: str, n: int) -> str:
    return f"{kind}_{n + REACH:02d}"
