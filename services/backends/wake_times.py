"""How long a model's endpoint takes to wake from zero: its last wakes, measured on the jobs that waited for them."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from datetime import timedelta

from pydantic import BaseModel

from services.aws.table import ConditionFailed, Item, Table, Update
from services.backends.base import DrawnResult
from services.backends.by_model import Backends
from services.errors import StudioError
from services.logs import event
from services.records import Job
from services.store import keys

KEPT = 20
# Fewer wakes than this say little about the next one.
ENOUGH = 3
TRIES = 3
# A job that waited its turn was handed to an endpoint that others had woken.
AT_ONCE = timedelta(seconds=2)


class WakeFigures(BaseModel):
    """Half of the last `wakes` took `p50_s` or less, nine in ten `p90_s` or less."""

    wakes: int
    p50_s: float
    p90_s: float


def wakes_key(model: str) -> tuple[str, str]:
    """Where a model's wakes are kept."""
    return keys.STUDIO_PK, f"WAKES#{model}"


def wake_figures(item: Item | None) -> WakeFigures | None:
    """The record in figures; None while there are too few wakes. Nearest-rank percentiles."""
    seconds = sorted(_seconds(entry) for entry in _entries(item))
    if len(seconds) < ENOUGH:
        return None
    return WakeFigures(wakes=len(seconds), p50_s=_percentile(seconds, 0.5), p90_s=_percentile(seconds, 0.9))


class WakeTimes:
    """Writes what was measured. Nothing depends on it: a wake that cannot be noted is left out."""

    def __init__(self, table: Table, backends: Backends) -> None:
        self._table = table
        self._backends = backends

    def note(self, job: Job, result: DrawnResult) -> None:
        """Adds the wake that a finished job waited for; the same job twice counts once.

        No AWS call for a job that was sent to a model awake; three otherwise.
        """
        if job.estimate.cold_start_s <= 0 or job.attempt != 1 or job.invoked_at is None:
            return
        if job.invoked_at - job.created_at > AT_ONCE:
            return
        try:
            progress = self._backends.of(job.spec.model).progress(job)
            if progress is None:
                return
            # What it waited for others inside the container was no waking.
            took_s = (progress.started_at - job.invoked_at).total_seconds() - result.timings.queue_s
            if took_s > 0:
                self._add(job, took_s)
        except StudioError as exc:
            event("wake_not_noted", level=logging.WARNING, exc=exc, job=job.id)

    def _add(self, job: Job, took_s: float) -> None:
        key = wakes_key(job.spec.model)
        for _ in range(TRIES):
            before = _entries(self._table.get(*key))
            if any(entry.startswith(f"{job.id}:") for entry in before):
                return
            entries = [*before, f"{job.id}:{took_s:.2f}"][-KEPT:]
            unchanged = "#entries = :before" if before else "attribute_not_exists(PK)"
            change = Update(
                key=key,
                assign={"entries": entries},
                condition=unchanged,
                values={":before": before} if before else {},
            )
            try:
                self._table.update(change)
            except ConditionFailed:
                continue
            event("wake_noted", job=job.id, model=job.spec.model, seconds=round(took_s, 2))
            return


def _entries(item: Item | None) -> list[str]:
    return list(item.get("entries", [])) if item else []


def _seconds(entry: str) -> float:
    return float(entry.partition(":")[2])


def _percentile(ordered: Sequence[float], share: float) -> float:
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
