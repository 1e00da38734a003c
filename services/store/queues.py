"""The endpoints' queues as items: who waits, in which order, and how many.

Each endpoint has two lines of waiting jobs: READY ones run as soon as there is room, HELD ones wait for the model to be
awake. Three kinds of small items keep them, and every change of a job's line is part of the transaction that changes
the job, so that they never disagree:

- an entry for each waiting job, in its maker's partition: the maker's own order, strongly consistent. In the index the
  READY entries of an endpoint lie in the order of their creation: a job's place.
- a head for each maker and line: in the index while the maker has jobs in that line, by the oldest of them.
- counters for each endpoint, in shards: how many wait, are held and run, and how many have left the lines so far.

Nothing here costs more when more jobs wait: all reads have a limit.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from services.aws.table import ConditionFailed, Delete, Put, Table, TransactionRefused, Update
from services.records import EXACT_PLACES, Job, Line, Record
from services.store import keys

# The shards of an endpoint's counters; a job always counts in the same one.
SHARDS = 8
COUNTED = {Line.READY: "waiting", Line.HELD: "held", Line.RUNNING: "running"}


class Counts(Record):
    """How many jobs of an endpoint wait, are held, and run now, and how many have left its lines so far."""

    waiting: int = 0
    held: int = 0
    running: int = 0
    left: int = 0


@dataclass(frozen=True)
class Head:
    """A maker's place among the makers who wait in a line: their oldest job there, as the index knew it.

    `joins` counts the jobs that ever came into the maker's line: who takes the head away says how many it saw.
    """

    user_id: str
    endpoint: str
    line: Line
    job_id: str
    joins: int


class QueueStore:
    """Reads the queues. Every method is one AWS call."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def counts(self, endpoint: str | None = None) -> dict[str, Counts]:
        """Returns the counters of one endpoint, or of every endpoint that ever had a job; strongly consistent."""
        prefix = "" if endpoint is None else f"{endpoint}#"
        sums: dict[str, Counter[str]] = {}
        for item in self._table.each(keys.QUEUES, prefix):
            sums.setdefault(item["SK"].rpartition("#")[0], Counter()).update(
                {name: item.get(name, 0) for name in Counts.model_fields}
            )
        return {name: Counts(**total) for name, total in sums.items()}

    def heads(self, endpoint: str, line: Line, *, limit: int) -> list[Head]:
        """Returns the makers in a line by the age of their oldest job there; eventually consistent."""
        return [
            Head(
                user_id=item["PK"].removeprefix(keys.USER),
                endpoint=endpoint,
                line=line,
                job_id=item["GSI1SK"],
                joins=item["joins"],
            )
            for item in self._table.index(keys.heads(endpoint, line), limit=limit)
        ]

    def first(self, user_id: str, endpoint: str, line: Line, *, limit: int) -> list[str]:
        """Returns the ids of a maker's oldest jobs in a line; strongly consistent."""
        prefix = keys.entry_sk(endpoint, line, "")
        items, _ = self._table.query(
            keys.user_pk(user_id), prefix, limit=limit, newest_first=False, consistent=True
        )
        return [item["SK"].removeprefix(prefix) for item in items]

    def places(self, endpoint: str) -> dict[str, int]:
        """Returns the positions, from 1, of the first hundred READY jobs, by job id; eventually consistent."""
        items = self._table.index(keys.places(endpoint), limit=EXACT_PLACES)
        return {item["GSI1SK"]: place for place, item in enumerate(items, start=1)}

    def joins(self, head: Head) -> int:
        """Returns how many jobs ever joined the maker's line; strongly consistent."""
        item = self._table.get(keys.user_pk(head.user_id), keys.head_sk(head.endpoint, head.line))
        return int(item["joins"]) if item else 0

    def discard(self, head: Head, job_id: str) -> None:
        """Removes and uncounts the entry of a job whose record is gone."""
        key = (keys.user_pk(head.user_id), keys.entry_sk(head.endpoint, head.line, job_id))
        entry = Delete(key=key, label="entry", condition="attribute_exists(PK)")
        with contextlib.suppress(TransactionRefused):
            self._table.transact([entry, _count(head.endpoint, job_id, {COUNTED[head.line]: -1, "left": 1})])

    def drop(self, head: Head) -> None:
        """Removes a maker without waiting jobs from a line, unless a job has joined."""
        try:
            self._table.update(advance(head, None))
        except ConditionFailed:
            return


def change(job: Job, *, before: Line | None, after: Line | None) -> list[Put | Update | Delete]:
    """Returns the writes for a job's change of line; None means outside of all lines: new or ended.

    Returns none for a job from before queues existed, which no counter includes.
    """
    if not job.endpoint:
        return []
    writes: list[Put | Update | Delete] = []
    counted: dict[str, int] = {}
    if before is not None:
        counted[COUNTED[before]] = -1
        if before is not Line.RUNNING:
            counted["left"] = 1
            writes.append(Delete(key=_entry_key(job, before), label="entry"))
    if after is not None:
        counted[COUNTED[after]] = 1
        if after is not Line.RUNNING:
            writes += _join(job, after)
    return [*writes, _count(job.endpoint, job.id, counted)]


def advance(head: Head, following: str | None) -> Update:
    """Returns the write that makes a maker's next job, or none, their head of a line.

    Without a next job, it is refused if a job has joined the line since `head` was read.
    """
    key = (keys.user_pk(head.user_id), keys.head_sk(head.endpoint, head.line))
    if following is not None:
        index = {"GSI1PK": keys.heads(head.endpoint, head.line), "GSI1SK": following}
        return Update(key=key, label="head", assign=index)
    return Update(
        key=key,
        label="head",
        remove=["GSI1PK", "GSI1SK"],
        condition="#joins = :seen",
        values={":seen": head.joins},
    )


def _join(job: Job, line: Line) -> list[Put | Update]:
    pk, sk = _entry_key(job, line)
    entry = {"PK": pk, "SK": sk}
    if line is Line.READY:
        entry |= {"GSI1PK": keys.places(job.endpoint), "GSI1SK": job.id}
    index = {"GSI1PK": keys.heads(job.endpoint, line), "GSI1SK": job.id}
    # A job that the endpoint handed back is older than all waiting ones.
    came_back = job.attempt > 0
    head = Update(
        key=(pk, keys.head_sk(job.endpoint, line)),
        label="head",
        add={"joins": 1},
        assign=index if came_back else {},
        initial={} if came_back else index,
    )
    return [Put(item=entry, label="entry"), head]


def _entry_key(job: Job, line: Line) -> tuple[str, str]:
    return keys.user_pk(job.user_id), keys.entry_sk(job.endpoint, line, job.id)


def _count(endpoint: str, job_id: str, counted: Mapping[str, int]) -> Update:
    shard = int(keys.digest(job_id)[:4], 16) % SHARDS
    return Update(key=(keys.QUEUES, f"{endpoint}#{shard}"), label="queue", add=counted)
