"""Status for open pages: one background thread reads the watched jobs and their progress into a shared map."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, field

from services.backends.base import Found, Progress
from services.backends.by_model import Backends
from services.clock import now
from services.errors import NotFound, Unavailable
from services.jobs.completion import Completion
from services.jobs.scheduling import Scheduler
from services.logs import event
from services.periodic import PeriodicReader
from services.records import Job, JobStatus, LiveJob, User
from services.store import keys
from services.store.jobs import JobStore

REFRESH_S = 0.5
HELD_REFRESH_S = 5.0
# A job without a query for this long is no longer read.
WATCHED_S = 10.0


@dataclass
class _Watch:
    live: LiveJob
    asked_at: float = field(default_factory=time.monotonic)
    read_at: float = field(default_factory=time.monotonic)

    def is_due(self) -> bool:
        """Whether to read the job in this round; jobs that may wait for hours are read less often."""
        if self.live.job.status.terminal:
            return False
        held = self.live.job.waits_for_the_model(now())
        return not held or time.monotonic() - self.read_at >= HELD_REFRESH_S


class LiveJobs:
    """The shared map. A page's query costs no AWS call while the job is being watched."""

    def __init__(
        self, store: JobStore, scheduler: Scheduler, backends: Backends, completion: Completion
    ) -> None:
        self._store = store
        self._scheduler = scheduler
        self._backends = backends
        self._completion = completion
        self._watched: dict[tuple[str, str], _Watch] = {}
        self._lock = threading.Lock()
        self._reader = PeriodicReader("live_refresh", self.refresh, interval_s=REFRESH_S, wanted_s=WATCHED_S)

    def watch(self, user: User, job_id: str) -> LiveJob:
        """Returns the job as it was at most about a second ago. Raises NotFound, also for another user's id.

        The first query about a job reads it (two AWS calls); after that the background thread does.
        """
        key = (user.id, job_id)
        with self._lock:
            known = self._watched.get(key)
            # Without recent queries it is no longer read, so the remembered state is stale.
            if known and time.monotonic() - known.asked_at > WATCHED_S:
                known = None
            if known:
                known.asked_at = time.monotonic()
        if known:
            self._reader.ask()
            return known.live
        job = self._store.find(user.id, job_id) if keys.is_job_id(job_id) else None
        if job is None:
            raise NotFound("There is no such job.")
        live = LiveJob(job=job, status=job.status)
        if not job.status.terminal:
            live = self._observe(job, self._scheduler.positions([job]), self._at_endpoint([job]))
            with self._lock:
                self._watched[key] = _Watch(live)
            self._reader.ask()
        return live

    def close(self) -> None:
        """Ends the background thread."""
        self._reader.close()

    def refresh(self) -> None:
        """Reads every watched job once: a batch of records, and the progress of running jobs."""
        deadline = time.monotonic() - WATCHED_S
        with self._lock:
            self._watched = {key: watch for key, watch in self._watched.items() if watch.asked_at > deadline}
            watched = dict(self._watched)
        pending = [key for key, watch in watched.items() if watch.is_due()]
        if not pending:
            return
        jobs = self._store.find_many(pending)
        positions = self._scheduler.positions(jobs.values())
        at_endpoint = self._at_endpoint(list(jobs.values()))
        for key in pending:
            job = jobs.get(key)
            with self._lock:
                if job is None:
                    # Erased while it was watched: the next query raises NotFound.
                    self._watched.pop(key, None)
                    continue
            try:
                live = self._observe(job, positions, at_endpoint)
            except Unavailable:
                raise
            except Exception as exc:  # noqa: BLE001 - one job's trouble must not stop what other pages watch
                event("live_job_failed", level=logging.ERROR, exc=exc, job=job.id, user=job.user_id)
                continue
            with self._lock:
                if key in self._watched:
                    self._watched[key].live = live
                    self._watched[key].read_at = time.monotonic()

    def _observe(self, job: Job, positions: dict[str, int], at_endpoint: list[Job]) -> LiveJob:
        if job.status.terminal:
            return LiveJob(job=job, status=job.status)
        if job.attempt == 0 or job.status is JobStatus.QUEUED:
            return LiveJob(job=job, status=JobStatus.QUEUED, queue_position=positions.get(job.id))
        progress = self._progress(job)
        if progress is None:
            ahead = [o for o in at_endpoint if o.id < job.id and o.spec.model == job.spec.model]
            return LiveJob(
                job=job,
                status=JobStatus.STARTING,
                ahead=len(ahead),
                eta_s=job.estimate.total_s + sum(o.estimate.run_s for o in ahead),
            )
        if progress.step >= progress.steps and (finished := self._finish_early(job)):
            return LiveJob(job=finished, status=finished.status, step=progress.step, steps=progress.steps)
        elapsed = (progress.updated_at - progress.started_at).total_seconds()
        left = elapsed / progress.step * (progress.steps - progress.step) if progress.step else None
        return LiveJob(
            job=job,
            status=JobStatus.PROCESSING,
            step=progress.step,
            steps=progress.steps,
            preview_url=progress.preview_url,
            eta_s=max(0.0, left - (now() - progress.updated_at).total_seconds())
            if left is not None
            else None,
        )

    def _progress(self, job: Job) -> Progress | None:
        backend = self._backends.of(job.spec.model)
        return backend.progress(job) if backend.abilities.reports_progress else None

    def _finish_early(self, job: Job) -> Job | None:
        """Finishes a job whose result exists before the worker received the notification; both may race (DESIGN 4)."""
        seen = self._backends.of(job.spec.model).poll(job)
        if seen.found is not Found.RESULT:
            return None
        try:
            return self._completion.finish(job.user_id, job.id, seen.attempt)
        except NotFound:
            return None

    def _at_endpoint(self, watched: list[Job]) -> list[Job]:
        """Returns the jobs at the endpoint; reads them only if one of `watched` may be waiting among them."""
        if not any(job.status is JobStatus.STARTING for job in watched):
            return []
        return self._store.running()
