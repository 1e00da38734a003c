"""How long a model's endpoint takes to wake from zero, measured on the jobs that waited for it."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from datetime import timedelta

from pydantic import BaseModel

from services.backends.base import DrawnResult
from services.backends.by_model import Backends
from services.errors import StudioError
from services.logs import event
from services.records import Job
from services.store.endpoint_records import EndpointRecords

KEPT = 20
# Fewer wake-ups than this predict little.
ENOUGH = 3
TRIES = 3
# A job that waited its turn found an endpoint that other jobs had woken.
AT_ONCE = timedelta(seconds=2)


class WakeFigures(BaseModel):
    """The median (`p50_s`) and the 90th percentile (`p90_s`) of the last `wakes`."""

    wakes: int
    p50_s: float
    p90_s: float


def wake_figures(entries: Sequence[str]) -> WakeFigures | None:
    """Computes the figures of a record's entries by nearest-rank percentiles; None if there are too few."""
    seconds = sorted(_seconds(entry) for entry in entries)
    if len(seconds) < ENOUGH:
        return None
    return WakeFigures(wakes=len(seconds), p50_s=_percentile(seconds, 0.5), p90_s=_percentile(seconds, 0.9))


class WakeTimes:
    """Records measurements. Nothing depends on them: one that cannot be recorded is dropped."""

    def __init__(self, records: EndpointRecords, backends: Backends) -> None:
        self._records = records
        self._backends = backends

    def note(self, job: Job, result: DrawnResult) -> None:
        """Adds the wake-up that a finished job waited for; the same job counts once.

        No AWS call for a job that found the model awake; otherwise three.
        """
        if job.estimate.cold_start_s <= 0 or job.attempt != 1 or job.invoked_at is None:
            return
        if job.invoked_at - job.created_at > AT_ONCE:
            return
        try:
            progress = self._backends.of(job.spec.model).progress(job)
            if progress is None:
                return
            # Time in the container's queue is not part of the wake-up.
            took_s = (progress.started_at - job.invoked_at).total_seconds() - result.timings.queue_s
            if took_s > 0:
                self._add(job, took_s)
        except StudioError as exc:
            event("wake_not_noted", level=logging.WARNING, exc=exc, job=job.id)

    def _add(self, job: Job, took_s: float) -> None:
        model = job.spec.model
        for _ in range(TRIES):
            before = self._records.wakes(model)
            if any(entry.startswith(f"{job.id}:") for entry in before):
                return
            entries = [*before, f"{job.id}:{took_s:.2f}"][-KEPT:]
            if self._records.replace_wakes(model, before=before, entries=entries):
                event("wake_noted", job=job.id, model=model, seconds=round(took_s, 2))
                return


def _seconds(entry: str) -> float:
    return float(entry.partition(":")[2])


def _percentile(ordered: Sequence[float], share: float) -> float:
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
