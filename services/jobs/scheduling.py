"""Whose turn it is: as many jobs as the endpoints can soon take, fairly by user (DESIGN 4)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta

from services.backends.endpoint_status import EndpointStatus
from services.clock import now
from services.records import EndpointState, Job
from services.settings import Settings
from services.store import keys
from services.store.jobs import JobStore

# Between the endpoint's own limits and ours: notifications take a moment.
GRACE_S = 60


class Turns:
    """Decides from the waiting records which of them are handed over next."""

    def __init__(self, store: JobStore, endpoints: EndpointStatus, settings: Settings) -> None:
        self._store = store
        self._endpoints = endpoints
        self._settings = settings

    def has_room(self) -> bool:
        """True when another job may be invoked at once. One AWS call."""
        return self._store.running_count() < self._settings.dispatch_window

    def deadline(self, start: datetime) -> datetime:
        """When a job that is invoked at `start` must have ended."""
        settings = self._settings
        return start + timedelta(seconds=settings.job_ttl_s + settings.job_timeout_s + GRACE_S)

    def next_jobs(self, *, closed: str | None = None) -> list[Job]:
        """Claims as many waiting jobs as there is room for and returns them, to be invoked.

        The user with the fewest jobs at the endpoint goes first, the oldest job among equals. Jobs that wait for their
        model to be awake come after all others, and only while it is, as far as a look a few seconds old can tell.
        `closed` is a job that just ended and may still be in the index. One AWS call when nobody waits, one more a
        model while jobs wait for it to be awake.
        """
        at = now()
        waiting = [job for job in self._store.waiting() if job.id != closed]
        patient = [job for job in waiting if job.waits_for_the_model(at)]
        earnest = [job for job in waiting if not job.waits_for_the_model(at)]
        awake = {model for model in {job.spec.model for job in patient} if self._is_awake(model)}
        patient = [job for job in patient if job.spec.model in awake]
        if not earnest and not patient:
            return []
        running = [job for job in self._store.running() if job.id != closed]
        room = self._settings.dispatch_window - len(running)
        load = Counter(job.user_id for job in running)
        order = turns(earnest, load)
        order += turns(patient, load + Counter(job.user_id for job in earnest))
        claimed: list[Job] = []
        for job in order:
            if len(claimed) >= room:
                break
            taken = self._store.claim(job, token=keys.new_id(), deadline_at=self.deadline(now()))
            if taken is not None:
                claimed.append(taken)
        return claimed

    def _is_awake(self, model: str) -> bool:
        return self._endpoints.fresh(model).state is EndpointState.READY


def turns(waiting: list[Job], load: Mapping[str, int]) -> list[Job]:
    """The waiting jobs in the order of their turn: least loaded user first, each turn adding to that user's load."""
    queues: dict[str, list[Job]] = {}
    for job in sorted(waiting, key=lambda job: job.id):
        queues.setdefault(job.user_id, []).append(job)
    loads = Counter({user: load.get(user, 0) for user in queues})
    order: list[Job] = []
    while queues:
        user = min(queues, key=lambda user: (loads[user], queues[user][0].id))
        order.append(queues[user].pop(0))
        loads[user] += 1
        if not queues[user]:
            del queues[user]
    return order
