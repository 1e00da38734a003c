"""Price and time of a job beforehand: from measured history, with the card's figures until there is any."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from services.aws.table import Table
from services.catalogue import Catalogue
from services.errors import Unavailable
from services.ledger import USAGE_SHARDS
from services.records import EndpointState, Estimate, JobSpec
from services.wakes import WakeTimes, wake_times, wakes_key

# What is reserved is this many times the estimate: room for a busy machine, and the most that is ever charged.
RESERVE_FACTOR = 2.0
HISTORY_S = 60.0
# Fewer jobs than this say little about a model's speed.
ENOUGH_JOBS = 5


@dataclass(frozen=True)
class _Speed:
    read_at: float
    step_s_per_mpx: float | None
    wakes: WakeTimes | None


class Estimator:
    """Seconds from steps x pixels x the model's measured speed; dollars from its instance's price."""

    def __init__(self, table: Table, catalogue: Catalogue) -> None:
        self._table = table
        self._catalogue = catalogue
        self._speeds: dict[str, _Speed] = {}
        self._lock = threading.Lock()

    def estimate(self, spec: JobSpec, state: EndpointState) -> Estimate:
        """The estimate for a job while the endpoint is in `state`. At most one AWS call a minute and model."""
        card = self._catalogue.card(spec.model)
        megapixel_steps = spec.width * spec.height * spec.steps_to_draw * spec.count / 1e6
        measured = self._measured(spec.model)
        run_s = megapixel_steps * (measured.step_s_per_mpx or card.step_s_per_mpx)
        cost = self.price(spec.model, run_s)
        cold = state in {EndpointState.COLD, EndpointState.STARTING}
        return Estimate(
            cost_usd=cost,
            # Never less than a millionth, so that every job has a charge that can be checked.
            at_most_usd=max(1e-6, cost * RESERVE_FACTOR),
            run_s=run_s,
            cold_start_s=(measured.wakes.p50_s if measured.wakes else card.wake_s) if cold else 0.0,
            cold_start_p90_s=measured.wakes.p90_s if cold and measured.wakes else None,
        )

    def price(self, model: str, seconds: float) -> float:
        """What `seconds` of the model's instance cost, in dollars."""
        return seconds * self._catalogue.card(model).usd_per_hour / 3600

    def _measured(self, model: str) -> _Speed:
        """Seconds a step and megapixel over today and yesterday, and the last wakes; None until enough were seen."""
        with self._lock:
            known = self._speeds.get(model)
            if known and time.monotonic() - known.read_at < HISTORY_S:
                return known
            # Set before the reading, so that a hundred open pages do not all read.
            stale = replace(known or _Speed(0.0, None, None), read_at=time.monotonic())
            self._speeds[model] = stale
        today = datetime.now(UTC)
        keys = [
            (f"DAY#{day:%Y-%m-%d}", f"{model}#{shard}")
            for day in (today, today - timedelta(days=1))
            for shard in range(USAGE_SHARDS)
        ]
        try:
            found = self._table.get_many([*keys, wakes_key(model)])
        except Unavailable:
            return stale
        wakes = wake_times(found.pop(wakes_key(model), None))
        items = found.values()
        jobs = sum(item.get("jobs", 0) for item in items)
        pixel_steps = sum(item.get("pixel_steps", 0) for item in items)
        gpu_ms = sum(item.get("gpu_ms", 0) for item in items)
        speed = gpu_ms / 1000 / (pixel_steps / 1e6) if jobs >= ENOUGH_JOBS and pixel_steps else None
        fresh = _Speed(time.monotonic(), speed, wakes)
        with self._lock:
            self._speeds[model] = fresh
        return fresh
