"""Jobs as items: reading them, and the only functions that change their state."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from services.aws.table import ConditionFailed, Delete, Item, Put, Table, TransactionRefused, Update
from services.clock import now
from services.errors import Unavailable
from services.records import (
    Estimate,
    Job,
    JobStatus,
    Line,
    Page,
)
from services.store import keys
from services.store.job_items import job_from_item, job_to_item
from services.store.job_notes import JobNotes
from services.store.queues import Head, advance, change
from services.store.writes import Write

OPEN_CONDITION = "#status IN (:queued, :starting, :processing)"
OPEN_VALUES = {
    ":queued": JobStatus.QUEUED.value,
    ":starting": JobStatus.STARTING.value,
    ":processing": JobStatus.PROCESSING.value,
}
# How long after a claim the sweeper checks whether the invocation happened.
CLAIM_CHECK_S = 30
# Retries for a job that moves between lines while it is being closed.
CLOSING_TRIES = 5


class LineMoved(Exception):
    """A job joined a line after the caller saw no other job behind the claimed one."""


class JobStore:
    """The job items. The first writer closes a job; later ones learn its state."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self.notes = JobNotes(table)

    def find(self, user_id: str, job_id: str) -> Job | None:
        """Returns the job, strongly consistent; None if there is none. One call."""
        item = self._table.get(keys.user_pk(user_id), keys.job_sk(job_id))
        return job_from_item(item) if item else None

    def find_many(self, pairs: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Job]:
        """Returns the existing jobs among (user id, job id) pairs; one call for each hundred."""
        items = self._table.get_many((keys.user_pk(user), keys.job_sk(job)) for user, job in pairs)
        jobs = [job_from_item(item) for item in items.values()]
        return {(job.user_id, job.id): job for job in jobs}

    def page(
        self, user_id: str, *, limit: int, after: str | None, statuses: frozenset[JobStatus] | None
    ) -> Page[Job]:
        """Returns a user's jobs, newest first. One call, more if few match `statuses`."""
        where, values = "", {}
        if statuses is not None:
            values = {f":s{n}": status.value for n, status in enumerate(sorted(statuses))}
            where = f"#status IN ({', '.join(values)})"
        items, cursor = self._table.query(
            keys.user_pk(user_id),
            keys.JOB,
            limit=limit,
            after=after,
            where=where,
            values=values,
            look_through=300 if where else 0,
        )
        return Page(items=tuple(job_from_item(item) for item in items), next=cursor)

    def waiting_due(self, due_by: datetime, *, limit: int) -> list[Job]:
        """Returns waiting jobs whose deadline or latest start has come; eventually consistent. One call."""
        items = self._table.index(keys.WAITING, up_to=_stamp(due_by) + "~", limit=limit)
        return [job_from_item(item) for item in items]

    def running(self, *, due_by: datetime | None = None) -> list[Job]:
        """Returns jobs at an endpoint, those due for a check first; eventually consistent."""
        up_to = None if due_by is None else _stamp(due_by) + "~"
        return [job_from_item(item) for item in self._table.index(keys.RUNNING, up_to=up_to)]

    def open_of(self, user_id: str) -> dict[str, Job]:
        """Returns a user's open jobs, by id. Two calls, one more for each hundred waiting jobs.

        Reads the running jobs of all endpoints, which the windows keep few; eventually consistent.
        """
        running = {job.id: job for job in self.running() if job.user_id == user_id}
        entries = self._table.each(keys.user_pk(user_id), keys.ENTRY)
        waiting = [(user_id, item["SK"].rpartition("#")[2]) for item in entries]
        found = self.find_many(waiting) if waiting else {}
        return running | {job.id: job for job in found.values() if not job.status.terminal}

    def was_erased(self, user_id: str, job_id: str) -> bool:
        """Whether the job was erased on purpose; a lost record leaves no such mark. One call."""
        return self._table.get(keys.user_pk(user_id), keys.tombstone_sk(job_id)) is not None

    def create(self, job: Job, writes: Sequence[Write]) -> None:
        """Creates the job together with `writes`, in its line.

        One call, and a read if a condition fails: after a lost response, boto3 repeats the transaction, and the job
        exists. Raises TransactionRefused or Unavailable if it does not.
        """
        if job.line is Line.RUNNING:
            index = {
                "GSI1PK": keys.RUNNING,
                "GSI1SK": _due(now() + timedelta(seconds=CLAIM_CHECK_S), job.id),
            }
        else:
            index = {"GSI1PK": keys.WAITING, "GSI1SK": _waits_until(job)}
        creation = Put(item=job_to_item(job) | index, label="job", condition="attribute_not_exists(PK)")
        try:
            self._table.transact([creation, *change(job, before=None, after=job.line), *writes])
        except (TransactionRefused, Unavailable):
            if self.find(job.user_id, job.id) is None:
                raise

    def claim(
        self, job: Job, *, head: Head, following: str | None, token: str, deadline_at: datetime
    ) -> Job | None:
        """Claims a waiting job for invocation as its next attempt; returns None if another process has it.

        `following` is its maker's next job in the line. One call, and a read if a condition fails. Raises LineMoved if
        there was none and one has joined.
        """
        claimed = job.model_copy(
            update={
                "status": JobStatus.STARTING,
                "attempt": job.attempt + 1,
                "deadline_at": deadline_at,
                "line": Line.RUNNING,
                "invoked_at": None,
                "failure_uri": None,
            }
        )
        update = Update(
            key=_key(job),
            label="job",
            assign={
                "status": claimed.status.value,
                "attempt": claimed.attempt,
                "claim": token,
                "deadline_at": deadline_at.isoformat(),
                "line": Line.RUNNING.value,
                "GSI1PK": keys.RUNNING,
                "GSI1SK": _due(now() + timedelta(seconds=CLAIM_CHECK_S), job.id),
            },
            remove=["invoked_at", "failure_uri"],
            condition="#status = :queued AND #attempt = :attempt AND #line = :line",
            values={":queued": JobStatus.QUEUED.value, ":attempt": job.attempt, ":line": head.line.value},
        )
        try:
            self._table.transact(
                [update, *change(job, before=head.line, after=Line.RUNNING), advance(head, following)]
            )
        except TransactionRefused as exc:
            # boto3 repeats the transaction after a lost response: then this claim is the current one.
            current = self._table.get(*_key(job))
            if current and current.get("claim") == token and current["status"] == "starting":
                return job_from_item(current)
            if "job" not in exc.failed:
                raise LineMoved from exc
            return None
        return claimed

    def confirm(self, job: Job, *, failure_uri: str | None, due_s: float) -> Job:
        """Records that the endpoint accepted the job's attempt. A job that was closed stays as it is. One call."""
        invoked = now()
        assign: dict[str, Any] = {
            "invoked_at": invoked.isoformat(),
            "GSI1SK": _due(invoked + timedelta(seconds=due_s), job.id),
        }
        if failure_uri:
            assign["failure_uri"] = failure_uri
        try:
            item = self._table.update(
                Update(
                    key=_key(job),
                    assign=assign,
                    condition=f"{OPEN_CONDITION} AND #attempt = :attempt",
                    values=OPEN_VALUES | {":attempt": job.attempt},
                )
            )
        except ConditionFailed as exc:
            return job_from_item(exc.current) if exc.current else job
        return job_from_item(item)

    def release(self, job: Job, *, deadline_at: datetime, estimate: Estimate) -> None:
        """Turns a job that waits for its model to be awake into an ordinary one. One call.

        A job that was claimed or closed stays as it is; calling it twice is no error.
        """
        ordinary = {"deadline_at": deadline_at.isoformat(), "estimate": estimate.model_dump_json()}
        self._make_ready(job, ordinary, until=deadline_at, remove=["run_by"])

    def make_ready(self, job: Job) -> None:
        """Lets a held job run although its model may be asleep: its latest start has come. One call; idempotent."""
        self._make_ready(job, {}, until=job.deadline_at or now())

    def _make_ready(
        self, job: Job, assign: dict[str, Any], *, until: datetime, remove: Sequence[str] = ()
    ) -> None:
        update = Update(
            key=_key(job),
            label="job",
            assign=assign | {"line": Line.READY.value, "GSI1SK": _due(until, job.id)},
            remove=remove,
            condition="#status = :queued AND attribute_exists(#run_by) AND #line = :line",
            values={":queued": JobStatus.QUEUED.value, ":line": (job.line or Line.HELD).value},
        )
        moves = change(job, before=Line.HELD, after=Line.READY) if job.line is Line.HELD else []
        with contextlib.suppress(TransactionRefused):
            self._table.transact([update, *moves])

    def adopt(self, job: Job, endpoint: str) -> None:
        """Puts a waiting job from before queues existed into its endpoint's line. One call; idempotent."""
        line = Line.HELD if job.waits_for_the_model(now()) else Line.READY
        job = job.model_copy(update={"endpoint": endpoint, "line": line})
        update = Update(
            key=_key(job),
            label="job",
            assign={"endpoint": endpoint, "line": line.value, "GSI1SK": _waits_until(job)},
            condition="#status = :queued AND attribute_not_exists(#line)",
            values={":queued": JobStatus.QUEUED.value},
        )
        with contextlib.suppress(TransactionRefused):
            self._table.transact([update, *change(job, before=None, after=line)])

    def postpone(self, job: Job, *, due: datetime, repeated: bool = False) -> None:
        """Sets the time of the sweeper's next check of a job, and whether its attempt is submitted again. One call."""
        try:
            self._table.update(
                Update(
                    key=_key(job),
                    assign={"GSI1SK": _due(due, job.id)} | ({"repeated": True} if repeated else {}),
                    condition=f"{OPEN_CONDITION} AND #attempt = :attempt",
                    values=OPEN_VALUES | {":attempt": job.attempt},
                )
            )
        except ConditionFailed:
            return

    def extend(self, job: Job, *, deadline_at: datetime) -> None:
        """Moves the deadline of an open job and the sweeper's next check to it. One call."""
        with contextlib.suppress(ConditionFailed):
            self._table.update(
                Update(
                    key=_key(job),
                    assign={"deadline_at": deadline_at.isoformat(), "GSI1SK": _due(deadline_at, job.id)},
                    condition=f"{OPEN_CONDITION} AND #attempt = :attempt",
                    values=OPEN_VALUES | {":attempt": job.attempt},
                )
            )

    def requeue(self, job: Job) -> bool:
        """Puts an attempt that was handed back in line again; returns False if the job has changed. One call."""
        back = job.model_copy(update={"status": JobStatus.QUEUED})
        line = Line.HELD if back.waits_for_the_model(now()) else Line.READY
        assign = {
            "status": JobStatus.QUEUED.value,
            "GSI1PK": keys.WAITING,
            # A job from before queues existed is due immediately, so the sweeper adopts it.
            "GSI1SK": _waits_until(back) if job.line else _due(job.created_at, job.id),
        }
        update = Update(
            key=_key(job),
            label="job",
            assign=assign | ({"line": line.value} if job.line else {}),
            condition="#status = :starting AND #attempt = :attempt",
            values={":starting": JobStatus.STARTING.value, ":attempt": job.attempt},
        )
        try:
            self._table.transact([update, *change(job, before=job.line, after=line)])
        except TransactionRefused:
            current = self._table.get(*_key(job))
            return bool(current and current["status"] == "queued" and current["attempt"] == job.attempt)
        return True

    def every(self, user_id: str) -> Iterator[Job]:
        """Returns all of a user's jobs, strongly consistent; one call for each 1,000."""
        for item in self._table.each(keys.user_pk(user_id), keys.JOB):
            yield job_from_item(item)

    def close(
        self,
        closed: Job,
        writes: Sequence[Put | Update | Delete],
        *,
        token: str,
        if_overdue: bool = False,
    ) -> tuple[Job | None, bool]:
        """Writes a terminal state together with `writes`, once. Returns the job that stands (None when it was erased
        meanwhile), and whether it is ours.

        `closed.line` is where the job stood when it was read; a job that moved to another line meanwhile is closed
        there. With `if_overdue` a job that is in another attempt or has time left by its record stays open: it was
        dispatched after the caller read it. One call, and a read when the condition fails: another writer, or our own
        write with a lost response.
        """
        for _ in range(CLOSING_TRIES):
            try:
                self._table.transact(
                    [
                        _closing(closed, token, if_overdue),
                        *change(closed, before=closed.line, after=None),
                        *writes,
                    ]
                )
            except TransactionRefused as exc:
                item = self._table.get(*_key(closed))
                if item is None:
                    return None, False
                standing = job_from_item(item)
                if standing.status.terminal:
                    return standing, item.get("closer") == token
                if standing.line is not closed.line:
                    where = {"line": standing.line, "endpoint": standing.endpoint}
                    closed = closed.model_copy(update=where)
                    continue
                if if_overdue:
                    return standing, False
                raise exc
            return closed.model_copy(update={"line": None}), True
        raise Unavailable("The job keeps changing. Try again in a few seconds.")

    def note_repeat(self, job: Job, drawing: str, counted: Write) -> bool:
        """Writes that a finished job was drawn once more, with `counted`, once for each name of a drawing; returns
        whether this call did. One call."""
        noted = f"drawing_{drawing}"
        condition = f"attribute_exists(#status) AND attribute_not_exists(#{noted})"
        update = Update(key=_key(job), label="job", assign={noted: True}, condition=condition)
        try:
            self._table.transact([update, counted])
        except TransactionRefused:
            return False
        return True


def _closing(closed: Job, token: str, if_overdue: bool) -> Update:
    condition = f"{OPEN_CONDITION} AND " + ("#line = :line" if closed.line else "attribute_not_exists(#line)")
    values: dict[str, Any] = OPEN_VALUES | ({":line": closed.line.value} if closed.line else {})
    if if_overdue:
        condition += " AND #attempt = :attempt AND #deadline_at < :now"
        values |= {":attempt": closed.attempt, ":now": now().isoformat()}
    return Update(
        key=_key(closed),
        label="job",
        assign=_terminal_attributes(closed) | {"closer": token},
        remove=["GSI1PK", "GSI1SK", "line"],
        condition=condition,
        values=values,
    )


def _key(job: Job) -> tuple[str, str]:
    return keys.user_pk(job.user_id), keys.job_sk(job.id)


def _stamp(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]


def _due(at: datetime, job_id: str) -> str:
    return f"{_stamp(at)}#{job_id}"


def _waits_until(job: Job) -> str:
    """Returns when the sweeper checks a waiting job: at its latest start, otherwise at its deadline."""
    held = job.run_by if job.line is Line.HELD or job.waits_for_the_model(now()) else None
    return _due(held or job.deadline_at or job.created_at, job.id)


def _terminal_attributes(job: Job) -> Item:
    item = job_to_item(job)
    names = (
        "status",
        "started_at",
        "completed_at",
        "cost_micros",
        "gpu_ms",
        "timings",
        "failure",
        "image_ids",
        "withheld",
        "hint",
        "batch_pictures",
        "provenance",
    )
    return {name: item[name] for name in names if item.get(name) is not None}
