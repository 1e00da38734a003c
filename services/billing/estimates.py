"""Estimates of a job's price and time, from measurements or, until there are enough, from the card's figures."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from services.backends.by_model import Backends
from services.backends.wake_times import WakeFigures, wake_figures
from services.billing.job_counts import MOST_TOGETHER, together
from services.catalogue.cards import Catalogue
from services.errors import Unavailable
from services.records import EndpointState, Estimate, JobSpec
from services.store.jobs import JobStore
from services.store.usage_days import UsageDays

# The reservation is this multiple of the estimate: room for a busy machine, and the most that is ever charged.
RESERVE_FACTOR = 2.0
HISTORY_S = 60.0
# The number of waiting jobs is cached, so that typing into the form does not query it each time.
CROWD_S = 3.0
# Fewer jobs than this predict little about a model's speed.
ENOUGH_JOBS = 5


@dataclass(frozen=True)
class _Rate:
    """Seconds per megapixel: for each step, and once per picture."""

    step_s: float
    once_s: float = 0.0


@dataclass(frozen=True)
class _Speed:
    """A model's measured speed: its rates by number of pictures in a job (0: all), and the overhead."""

    read_at: float
    rates: dict[int, _Rate] = field(default_factory=dict)
    beyond_s: float = 0.0
    wakes: WakeFigures | None = None


class Estimator:
    """Seconds from steps x pixels x the model's measured speed; dollars from its instance's price."""

    def __init__(self, usage: UsageDays, catalogue: Catalogue, store: JobStore, backends: Backends) -> None:
        self._usage = usage
        self._catalogue = catalogue
        self._store = store
        self._backends = backends
        self._speeds: dict[str, _Speed] = {}
        self._crowd: tuple[float, Counter[str]] = (float("-inf"), Counter())
        self._lock = threading.Lock()

    def estimate(self, spec: JobSpec, state: EndpointState, *, together: int = 1) -> Estimate:
        """The estimate for one of `together` jobs that are sent at once, while the endpoint is in `state`.

        run_s = megapixels x (steps x measured seconds a step + measured seconds a picture), as measured on jobs of as
        many pictures once there were enough; cost_usd is `charge` of them, as the ledger charges. A job that
        finds the model asleep also has the instance billed while it wakes: AWS bills an instance from its start, so
        wake_usd = (the median of the measured wakes x the price) / (jobs that the endpoint has already + together).
        The idle time before it sleeps again is in nobody's share.
        At most one AWS call a minute and model, and one in three seconds while the model is asleep.
        """
        card = self._catalogue.card(spec.model)
        megapixels = spec.width * spec.height * spec.count / 1e6
        measured = self._measured(spec.model)
        rates, count = measured.rates, min(spec.count, MOST_TOGETHER)
        rate = rates.get(count) or rates.get(0) or _Rate(card.step_s_per_mpx)
        run_s = megapixels * (spec.steps_to_draw * rate.step_s + rate.once_s)
        cost = self.charge(spec.model, seconds=run_s, pictures=spec.count)
        cold = state in {EndpointState.COLD, EndpointState.STARTING}
        wake_s = (measured.wakes.p50_s if measured.wakes else card.wake_s) if cold else 0.0
        sharing = self._waiting_for(spec.model) + together if cold else 1
        return Estimate(
            cost_usd=cost,
            # At least a micro-dollar, so that every job has a verifiable charge.
            at_most_usd=max(1e-6, cost * RESERVE_FACTOR),
            run_s=run_s,
            cold_start_s=wake_s,
            cold_start_p90_s=measured.wakes.p90_s if cold and measured.wakes else None,
            wake_usd=wake_s * card.usd_per_hour / 3600 / sharing,
            beyond_s=measured.beyond_s,
        )

    def charge(self, model: str, *, seconds: float, pictures: int) -> float:
        """Returns the back end's price in dollars for the pictures and the model's seconds.

        Raises InvalidRequest for a model that is not offered.
        """
        return self._backends.of(model).pricing.cost_usd(
            seconds=seconds, pictures=pictures, usd_per_hour=self._catalogue.card(model).usd_per_hour
        )

    def _waiting_for(self, model: str) -> int:
        """Returns how many jobs already wait for the sleeping model, at most a few seconds old."""
        with self._lock:
            read_at, crowd = self._crowd
            if time.monotonic() - read_at < CROWD_S:
                return crowd[model]
        try:
            fresh = Counter(job.spec.model for job in self._store.running())
        except Unavailable:
            return crowd[model]
        with self._lock:
            self._crowd = (time.monotonic(), fresh)
        return fresh[model]

    def _measured(self, model: str) -> _Speed:
        """Returns the measurements of today and yesterday and the last wake-ups; None until there are enough."""
        with self._lock:
            known = self._speeds.get(model)
            if known and time.monotonic() - known.read_at < HISTORY_S:
                return known
            # Set before the reading, so that many open pages do not all read.
            stale = replace(known or _Speed(0.0), read_at=time.monotonic())
            self._speeds[model] = stale
        today = datetime.now(UTC)
        try:
            counts, wakes = self._usage.of_model(model, (today, today - timedelta(days=1)))
        except Unavailable:
            return stale
        fresh = replace(_speed(counts), wakes=wake_figures(wakes))
        with self._lock:
            self._speeds[model] = fresh
        return fresh


def _speed(counts: Counter[str]) -> _Speed:
    """Returns the speed in a model's counts; without rates that are based on too few jobs."""

    def rate(count: int) -> _Rate | None:
        jobs, run_ms, denoise_ms, pixel_steps, pixels = (
            counts[together(name, count) if count else name]
            for name in ("speed_jobs", "speed_ms", "denoise_ms", "pixel_steps", "pixels")
        )
        if jobs < ENOUGH_JOBS or not pixel_steps or not pixels:
            return None
        return _Rate(denoise_ms / pixel_steps * 1000, max(0, run_ms - denoise_ms) / pixels * 1000)

    found = {count: rate(count) for count in range(MOST_TOGETHER + 1)}
    return _Speed(
        time.monotonic(),
        rates={count: each for count, each in found.items() if each is not None},
        beyond_s=counts["beyond_ms"] / 1000 / max(1, counts["beyond_jobs"]),
    )
