"""Jobs as items of the table: reading them, and the only ways their state may change."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from services.aws.table import ConditionFailed, Delete, Item, Put, Table, TransactionRefused, Update
from services.clock import now
from services.errors import Unavailable
from services.records import (
    Draft,
    Estimate,
    Hint,
    Job,
    JobFailure,
    JobSpec,
    JobStatus,
    Page,
    Provenance,
    Timings,
    Withheld,
)
from services.store import keys

OPEN_CONDITION = "#status IN (:queued, :starting, :processing)"
OPEN_VALUES = {
    ":queued": JobStatus.QUEUED.value,
    ":starting": JobStatus.STARTING.value,
    ":processing": JobStatus.PROCESSING.value,
}
# On drafts, with a picture's number: the job that draws it in full.
FINAL = "final_"
# How long after a claim the sweeper looks whether the invocation really happened.
CLAIM_CHECK_S = 30


class JobStore:
    """The job items. Whoever closes a job first wins; later writers learn the state that is."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def find(self, user_id: str, job_id: str) -> Job | None:
        """The job, strongly consistent; None when there is none. One call."""
        item = self._table.get(keys.user_pk(user_id), keys.job_sk(job_id))
        return job_from_item(item) if item else None

    def find_many(self, pairs: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Job]:
        """The jobs that exist among (user id, job id) pairs; one call for each hundred."""
        items = self._table.get_many((keys.user_pk(user), keys.job_sk(job)) for user, job in pairs)
        jobs = [job_from_item(item) for item in items.values()]
        return {(job.user_id, job.id): job for job in jobs}

    def page(
        self, user_id: str, *, limit: int, after: str | None, statuses: frozenset[JobStatus] | None
    ) -> Page[Job]:
        """A user's jobs, newest first. One call, more when few match `statuses`."""
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

    def waiting(self) -> list[Job]:
        """Jobs not yet handed to an endpoint, oldest first; eventually consistent. One call a megabyte."""
        return [job_from_item(item) for item in self._table.index(keys.WAITING)]

    def running(self, *, due_by: datetime | None = None) -> list[Job]:
        """Jobs handed to an endpoint, those due for a check first; eventually consistent."""
        up_to = None if due_by is None else _stamp(due_by) + "~"
        return [job_from_item(item) for item in self._table.index(keys.RUNNING, up_to=up_to)]

    def running_count(self) -> int:
        """How many jobs are with the endpoints; eventually consistent. One call."""
        return self._table.index_count(keys.RUNNING)

    def note(self, user_id: str, sk: str) -> Item | None:
        """A small item that leads to a job, as of an idempotency key. One call."""
        return self._table.get(keys.user_pk(user_id), sk)

    def notes(self, user_id: str, sks: Sequence[str]) -> dict[str, Item]:
        """Those small items that are there, by sort key; one call for each hundred, none for none."""
        pk = keys.user_pk(user_id)
        return {sk: item for (_, sk), item in self._table.get_many((pk, sk) for sk in sks).items()}

    def create(self, job: Job, writes: Sequence[Put | Update]) -> None:
        """Creates the job together with `writes`: waiting, or already claimed when its attempt is 1.

        One call, and a read when a condition fails: after a lost response boto3 sends the transaction again, and
        then the job is there. Raises TransactionRefused or Unavailable when it is not.
        """
        claimed = job.attempt > 0
        due = now() + timedelta(seconds=CLAIM_CHECK_S) if claimed else job.created_at
        item = job_to_item(job) | {
            "GSI1PK": keys.RUNNING if claimed else keys.WAITING,
            "GSI1SK": _due(due, job.id),
        }
        creation = Put(item=item, label="job", condition="attribute_not_exists(PK)")
        try:
            self._table.transact([creation, *writes])
        except (TransactionRefused, Unavailable):
            if self.find(job.user_id, job.id) is None:
                raise

    def claim(self, job: Job, *, token: str, deadline_at: datetime) -> Job | None:
        """Takes a waiting job for invocation, as its next attempt; None when somebody else has it. One call."""
        try:
            item = self._table.update(
                Update(
                    key=_key(job),
                    assign={
                        "status": JobStatus.STARTING.value,
                        "attempt": job.attempt + 1,
                        "claim": token,
                        "deadline_at": deadline_at.isoformat(),
                        "GSI1PK": keys.RUNNING,
                        "GSI1SK": _due(now() + timedelta(seconds=CLAIM_CHECK_S), job.id),
                    },
                    remove=["invoked_at", "failure_uri"],
                    condition="#status = :queued AND #attempt = :attempt",
                    values={":queued": JobStatus.QUEUED.value, ":attempt": job.attempt},
                )
            )
        except ConditionFailed as exc:
            # A lost response makes boto3 send the update again: then the claim that stands is this one.
            if exc.current and exc.current.get("claim") == token and exc.current["status"] == "starting":
                return job_from_item(exc.current)
            return None
        return job_from_item(item)

    def confirm(self, job: Job, *, failure_uri: str | None, due_s: float) -> Job:
        """Records that the endpoint accepted the job's attempt. A job closed meanwhile stays as it is. One call."""
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
        """Makes a job that waits for its model to be awake an ordinary one. One call.

        A job that was claimed or closed meanwhile stays as it is; twice is no error.
        """
        try:
            self._table.update(
                Update(
                    key=_key(job),
                    assign={
                        "deadline_at": deadline_at.isoformat(),
                        "estimate": estimate.model_dump_json(),
                    },
                    remove=["run_by"],
                    condition="#status = :queued AND attribute_exists(#run_by)",
                    values={":queued": JobStatus.QUEUED.value},
                )
            )
        except ConditionFailed:
            return

    def postpone(self, job: Job, *, due: datetime) -> None:
        """Sets when the sweeper looks at a running job again. One call."""
        try:
            self._table.update(
                Update(
                    key=_key(job),
                    assign={"GSI1SK": _due(due, job.id)},
                    condition=f"{OPEN_CONDITION} AND #attempt = :attempt",
                    values=OPEN_VALUES | {":attempt": job.attempt},
                )
            )
        except ConditionFailed:
            return

    def requeue(self, job: Job) -> bool:
        """Puts a handed-back attempt in line again; False when the job moved on meanwhile. One call."""
        try:
            self._table.update(
                Update(
                    key=_key(job),
                    assign={
                        "status": JobStatus.QUEUED.value,
                        "GSI1PK": keys.WAITING,
                        "GSI1SK": _due(job.created_at, job.id),
                    },
                    condition="#status = :starting AND #attempt = :attempt",
                    values={":starting": JobStatus.STARTING.value, ":attempt": job.attempt},
                )
            )
        except ConditionFailed as exc:
            return bool(
                exc.current and exc.current["status"] == "queued" and exc.current["attempt"] == job.attempt
            )
        return True

    def every(self, user_id: str) -> Iterator[Job]:
        """All of a user's jobs, strongly consistent; one call for each 1,000."""
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

        With `if_overdue` a job that is in another attempt or has time left by its record stays open: it was dispatched
        after the caller read it. One call, and a read when the condition fails: another writer, or our own write with
        a lost response.
        """
        condition, values = OPEN_CONDITION, dict[str, Any](OPEN_VALUES)
        if if_overdue:
            condition += " AND #attempt = :attempt AND #deadline_at < :now"
            values |= {":attempt": closed.attempt, ":now": now().isoformat()}
        change = Update(
            key=_key(closed),
            label="job",
            assign=_terminal_attributes(closed) | {"closer": token},
            remove=["GSI1PK", "GSI1SK"],
            condition=condition,
            values=values,
        )
        try:
            self._table.transact([change, *writes])
        except TransactionRefused:
            item = self._table.get(*_key(closed))
            if item is None:
                return None, False
            standing = job_from_item(item)
            if not standing.status.terminal:
                if if_overdue:
                    return standing, False
                raise
            return standing, item.get("closer") == token
        return closed, True


def _key(job: Job) -> tuple[str, str]:
    return keys.user_pk(job.user_id), keys.job_sk(job.id)


def _stamp(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]


def _due(at: datetime, job_id: str) -> str:
    return f"{_stamp(at)}#{job_id}"


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


def micros(usd: float) -> int:
    """Micro-dollars: what the table counts money in."""
    return round(usd * 1_000_000)


def job_to_item(job: Job) -> Item:
    """The table's form of a job, without its index attributes."""
    return {
        "PK": keys.user_pk(job.user_id),
        "SK": keys.job_sk(job.id),
        "status": job.status.value,
        "spec": job.spec.model_dump_json(),
        "estimate": job.estimate.model_dump_json(),
        "attempt": job.attempt,
        "created_at": job.created_at.isoformat(),
        "started_at": _iso(job.started_at),
        "completed_at": _iso(job.completed_at),
        "deadline_at": _iso(job.deadline_at),
        "invoked_at": _iso(job.invoked_at),
        "cost_micros": None if job.cost_usd is None else micros(job.cost_usd),
        "gpu_ms": None if job.gpu_s is None else round(job.gpu_s * 1000),
        "timings": job.timings.model_dump_json() if job.timings else None,
        "failure": job.failure.model_dump_json() if job.failure else None,
        "failure_uri": job.failure_uri,
        "image_ids": list(job.image_ids),
        "withheld": json.dumps([one.model_dump() for one in job.withheld]) if job.withheld else None,
        "hint": job.hint.model_dump_json() if job.hint else None,
        "batch_pictures": job.batch_pictures,
        "provenance": job.provenance.model_dump_json() if job.provenance else None,
        "run_by": _iso(job.run_by),
        "draft": job.draft.model_dump_json() if job.draft else None,
        "final_of": job.final_of,
    }


def job_from_item(item: Item) -> Job:
    """The job that an item of the table holds."""
    return Job(
        id=item["SK"].removeprefix(keys.JOB),
        user_id=item["PK"].removeprefix("USER#"),
        status=JobStatus(item["status"]),
        spec=JobSpec.model_validate_json(item["spec"]),
        estimate=Estimate.model_validate_json(item["estimate"]),
        attempt=item["attempt"],
        created_at=datetime.fromisoformat(item["created_at"]),
        started_at=_moment(item.get("started_at")),
        completed_at=_moment(item.get("completed_at")),
        deadline_at=_moment(item.get("deadline_at")),
        invoked_at=_moment(item.get("invoked_at")),
        cost_usd=item["cost_micros"] / 1_000_000 if "cost_micros" in item else None,
        gpu_s=item["gpu_ms"] / 1000 if "gpu_ms" in item else None,
        timings=Timings.model_validate_json(item["timings"]) if "timings" in item else None,
        failure=JobFailure(**json.loads(item["failure"])) if "failure" in item else None,
        failure_uri=item.get("failure_uri"),
        image_ids=tuple(item.get("image_ids", ())),
        withheld=tuple(Withheld(**one) for one in json.loads(item.get("withheld", "[]"))),
        hint=Hint.model_validate_json(item["hint"]) if "hint" in item else None,
        batch_pictures=item.get("batch_pictures"),
        provenance=Provenance.model_validate_json(item["provenance"]) if "provenance" in item else None,
        run_by=_moment(item.get("run_by")),
        draft=Draft.model_validate_json(item["draft"]) if "draft" in item else None,
        final_of=item.get("final_of"),
        finals={
            int(name.removeprefix(FINAL)): value
            for name, value in item.items()
            if name.removeprefix(FINAL).isdecimal()
        },
    )


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at else None


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def same_sk(spec: JobSpec) -> str:
    """Sort key of "these very parameters, model revision and seed": it leads to the job that drew them."""
    # Without what is None: text-to-image keeps the key it had before there was more.
    return f"SAME#{keys.digest(spec.model_dump_json(exclude={'quality'}, exclude_none=True))}"
