"""Price and time of a job beforehand: from measured history, with the card's figures until there is any."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from services.aws.table import Table
from services.catalogue import Catalogue
from services.errors import Unavailable
from services.ledger import USAGE_SHARDS
from services.records import EndpointState, Estimate, JobSpec

# What is reserved is this many times the estimate: room for a busy machine, and the most that is ever charged.
RESERVE_FACTOR = 2.0
HISTORY_S = 60.0
# Fewer jobs than this say little about a model's speed.
ENOUGH_JOBS = 5


@dataclass(frozen=True)
class _Speed:
    read_at: float
    step_s_per_mpx: float | None


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
        run_s = megapixel_steps * (self._measured(spec.model) or card.step_s_per_mpx)
        cost = self.price(spec.model, run_s)
        cold = state in {EndpointState.COLD, EndpointState.STARTING}
        return Estimate(
            cost_usd=cost,
            # Never less than a millionth, so that every job has a charge that can be checked.
            at_most_usd=max(1e-6, cost * RESERVE_FACTOR),
            run_s=run_s,
            cold_start_s=card.wake_s if cold else 0.0,
        )

    def price(self, model: str, seconds: float) -> float:
        """What `seconds` of the model's instance cost, in dollars."""
        return seconds * self._catalogue.card(model).usd_per_hour / 3600

    def _measured(self, model: str) -> float | None:
        """Seconds a step and megapixel over today and yesterday; None until enough jobs were seen."""
        with self._lock:
            known = self._speeds.get(model)
            if known and time.monotonic() - known.read_at < HISTORY_S:
                return known.step_s_per_mpx
            # Set before the reading, so that a hundred open pages do not all read.
            self._speeds[model] = _Speed(time.monotonic(), known.step_s_per_mpx if known else None)
        today = datetime.now(UTC)
        keys = [
            (f"DAY#{day:%Y-%m-%d}", f"{model}#{shard}")
            for day in (today, today - timedelta(days=1))
            for shard in range(USAGE_SHARDS)
        ]
        try:
            items = self._table.get_many(keys).values()
        except Unavailable:
            return known.step_s_per_mpx if known else None
        jobs = sum(item.get("jobs", 0) for item in items)
        pixel_steps = sum(item.get("pixel_steps", 0) for item in items)
        gpu_ms = sum(item.get("gpu_ms", 0) for item in items)
        speed = gpu_ms / 1000 / (pixel_steps / 1e6) if jobs >= ENOUGH_JOBS and pixel_steps else None
        with self._lock:
            self._speeds[model] = _Speed(time.monotonic(), speed)
        return speed
