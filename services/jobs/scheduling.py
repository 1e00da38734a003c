"""Which job is next: for each endpoint as many as it can soon take, fairly by maker (DESIGN 4).

Each endpoint has a window, a line of jobs that are ready and a line of jobs that are held until its model is awake; a
slow endpoint keeps nobody waiting for another one. Choosing the next job costs the same however many wait.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple

from services.backends.by_model import Backends
from services.backends.endpoint_status import EndpointStatus
from services.clock import now
from services.logs import event
from services.records import EXACT_PLACES, EndpointState, Job, Line, Ticket
from services.settings import Settings
from services.store import keys
from services.store.jobs import JobStore, LineMoved
from services.store.queues import Counts, Head, QueueStore

# Slack between the endpoint's own limits and ours: notifications take a moment.
GRACE_S = 60
# Jobs of withdrawn models that one pass ends as failed.
WITHDRAWN_AT_ONCE = 20
# Retries when other processes change the same line.
TRIES = 5


class Standing(NamedTuple):
    """A new job's place in its endpoint's queue."""

    endpoint: str
    line: Line
    ticket: Ticket | None = None


class Scheduler:
    """Decides which waiting jobs are submitted next, separately for each endpoint."""

    def __init__(
        self,
        store: JobStore,
        queues: QueueStore,
        backends: Backends,
        endpoints: EndpointStatus,
        settings: Settings,
    ) -> None:
        self._store = store
        self._queues = queues
        self._backends = backends
        self._endpoints = endpoints
        self._settings = settings

    def standing(self, model: str, *, held: bool) -> Standing:
        """Returns the place of a new job of that model; RUNNING if there is room. One AWS call, none for a held job."""
        endpoint = self.endpoint_of(model)
        if held:
            return Standing(endpoint, Line.HELD)
        counts = self._queues.counts(endpoint).get(endpoint, Counts())
        if counts.running < self._settings.dispatch_window:
            return Standing(endpoint, Line.RUNNING)
        return Standing(endpoint, Line.READY, Ticket(waiting=counts.waiting, left=counts.left))

    def endpoint_of(self, model: str) -> str:
        """Returns the endpoint whose queue a model's jobs wait in; empty if the model is not offered."""
        return self._backends.endpoint_of(model)

    def backlog(self) -> dict[str, Counts]:
        """Returns how many jobs wait, are held, and run, by endpoint, including endpoints without jobs. One AWS
        call.
        """
        nothing = {endpoint: Counts() for endpoint in self._backends.endpoints}
        return nothing | self._queues.counts()

    def deadline(self, start: datetime) -> datetime:
        """Returns when a job invoked at `start` must have ended."""
        settings = self._settings
        return start + timedelta(seconds=settings.job_ttl_s + settings.job_timeout_s + GRACE_S)

    def positions(self, jobs: Iterable[Job]) -> dict[str, int]:
        """Returns the queue position of each READY job, by job id; exact up to 100, rounded beyond.

        One AWS call, and one for each endpoint; none if no job waits.
        """
        ready = [job for job in jobs if job.line is Line.READY]
        if not ready:
            return {}
        counts = self._queues.counts()
        places = {endpoint: self._queues.places(endpoint) for endpoint in {job.endpoint for job in ready}}
        return {
            job.id: place_in_line(job, places[job.endpoint], counts.get(job.endpoint, Counts()))
            for job in ready
        }

    def next_jobs(self, *, closed: str | None = None) -> list[Job]:
        """Claims as many waiting jobs as there is room for and returns them, to be invoked.

        At each endpoint the maker with the fewest jobs there goes first, the oldest job among equals. Held jobs come
        after all others, and only while their model is awake, as far as a look a few seconds old can tell. Jobs of an
        endpoint that is no longer offered are claimed too: the caller ends them. `closed` is a job that just ended and
        may still be in the index. One AWS call when nobody waits or nothing has room; otherwise two, one more for each
        line with room, and three for each job.
        """
        claimed: list[Job] = []
        running: list[Job] | None = None
        for endpoint, counts in self._queues.counts().items():
            room = self._room(endpoint, counts)
            if room <= 0 or not (counts.waiting or counts.held):
                continue
            if running is None:
                running = [job for job in self._store.running() if job.id != closed]
            load = Counter(job.user_id for job in running if job.endpoint == endpoint)
            taken = self._take(endpoint, Line.READY, room, load) if counts.waiting else []
            if counts.held and len(taken) < room and self._may_run_held(endpoint):
                taken += self._take(endpoint, Line.HELD, room - len(taken), load)
            claimed += taken
        return claimed

    def _room(self, endpoint: str, counts: Counts) -> int:
        if endpoint not in self._backends.endpoints:
            return WITHDRAWN_AT_ONCE
        return self._settings.dispatch_window - counts.running

    def _may_run_held(self, endpoint: str) -> bool:
        model = self._backends.endpoints.get(endpoint)
        return model is None or self._endpoints.fresh(model).state is EndpointState.READY

    def _take(self, endpoint: str, line: Line, room: int, load: Counter[str]) -> list[Job]:
        """Claims up to `room` jobs of a line. Updates `load`, the number of jobs per maker at the endpoint."""
        # At most a window of makers have jobs at the endpoint. So the maker whose turn it is is among the first
        # makers in line, one more than that: either one of them has none there, or there are no others.
        look = self._settings.dispatch_window + 1
        claimed: list[Job] = []
        for _ in range(TRIES):
            heads = self._queues.heads(endpoint, line, limit=look)
            waiting = {head.user_id: head for head in heads}
            while waiting and len(claimed) < room:
                head = next_in_turn(waiting, load)
                job, following = self._take_from(head)
                if job is not None:
                    claimed.append(job)
                    load[head.user_id] += 1
                if following is None:
                    del waiting[head.user_id]
                else:
                    waiting[head.user_id] = following
            if len(claimed) >= room or len(heads) < look:
                break
        return claimed

    def _take_from(self, head: Head) -> tuple[Job | None, Head | None]:
        """Claims the maker's first job in a line; returns it with the maker's next head of the line.

        Returns no job if there was none, or if other processes were faster several times.
        """
        for _ in range(TRIES):
            ids = self._queues.first(head.user_id, head.endpoint, head.line, limit=2)
            if not ids:
                self._queues.drop(head)
                return None, None
            job = self._store.find(head.user_id, ids[0])
            if job is None:
                event("queue_entry_without_job", user=head.user_id, job=ids[0], endpoint=head.endpoint)
                self._queues.discard(head, ids[0])
                continue
            following = ids[1] if len(ids) > 1 else None
            try:
                taken = self._store.claim(
                    job,
                    head=head,
                    following=following,
                    token=keys.new_id(),
                    deadline_at=self.deadline(now()),
                )
            except LineMoved:
                head = replace(head, joins=self._queues.joins(head))
                continue
            if taken is not None:
                return taken, replace(head, job_id=following) if following else None
        return None, None


def next_in_turn(waiting: Mapping[str, Head], load: Mapping[str, int]) -> Head:
    """Returns the head whose turn it is: the maker with the fewest jobs at the endpoint, the oldest job among
    equals.
    """
    return min(waiting.values(), key=lambda head: (load.get(head.user_id, 0), head.job_id))


def place_in_line(job: Job, places: Mapping[str, int], counts: Counts) -> int:
    """Returns a waiting job's position from 1: exact if it is among `places`, else estimated from its ticket.

    The estimate is the number of jobs that waited when it joined, less those that have left since, rounded up to two
    significant digits.
    """
    if job.id in places:
        return places[job.id]
    behind = counts.waiting
    if job.ticket is not None:
        behind = min(behind, job.ticket.waiting + 1 - (counts.left - job.ticket.left))
    place = max(len(places) + 1, behind)
    if place <= EXACT_PLACES:
        return place
    unit = int(10 ** (len(str(place)) - 2))
    return -(-place // unit) * unit
