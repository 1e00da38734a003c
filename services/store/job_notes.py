"""Small items in a maker's partition that refer to a job: idempotency keys, parts of a draft submission, equal
requests.

They are written in the transaction that creates or closes the job.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from services.aws.table import Put, Table, Update
from services.records import Draft, Job, JobSpec, Record
from services.store import keys
from services.store.job_items import FINAL

IDEMPOTENCY_KEPT = timedelta(hours=24)


class IdempotencyNote(Record):
    """Maps an idempotency key to its job and the hash of its request. Valid until `expires_at`."""

    job_id: str
    request: str
    expires_at: datetime


class JobNotes:
    """Reads the notes. Every method is one AWS call unless it says otherwise."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def idempotency(self, user_id: str, key: str) -> IdempotencyNote | None:
        """Returns the note of a key, strongly consistent; None if the key was never used."""
        item = self._table.get(keys.user_pk(user_id), keys.idempotency_sk(key))
        if item is None:
            return None
        return IdempotencyNote(
            job_id=item["job"],
            request=item["request"],
            expires_at=datetime.fromtimestamp(item["expires_at"], UTC),
        )

    def same(self, user_id: str, specs: Sequence[JobSpec | None]) -> list[str | None]:
        """Returns for each spec the id of the last job that drew it; one call for each hundred."""
        sks = [None if spec is None else same_sk(spec) for spec in specs]
        jobs = self._jobs(user_id, [sk for sk in sks if sk is not None])
        return [None if sk is None else jobs.get(sk) for sk in sks]

    def parts(self, user_id: str, parts: Sequence[tuple[str, int]]) -> list[str]:
        """The ids of the jobs that draw these (press, part) of presses for drafts, those that there are; one call for
        each hundred, none for none."""
        return list(self._jobs(user_id, [keys.drafts_sk(group, part) for group, part in parts]).values())

    def _jobs(self, user_id: str, sks: Sequence[str]) -> dict[str, str]:
        pk = keys.user_pk(user_id)
        return {sk: item["job"] for (_, sk), item in self._table.get_many((pk, sk) for sk in sks).items()}


def idempotency_write(job: Job, key: str, request: str) -> Put:
    """Returns the write that maps a key to its job; refused (label "idempotency") while the key is valid for another
    one.
    """
    return Put(
        item={
            "PK": keys.user_pk(job.user_id),
            "SK": keys.idempotency_sk(key),
            "request": request,
            "job": job.id,
            "expires_at": int((job.created_at + IDEMPOTENCY_KEPT).timestamp()),
        },
        label="idempotency",
        condition="attribute_not_exists(PK) OR #expires_at < :now",
        values={":now": int(job.created_at.timestamp())},
    )


def part_write(job: Job, draft: Draft) -> Put:
    """Returns the write that records which job draws a part of a draft submission; a redrawn part replaces the
    earlier one.
    """
    sk = keys.drafts_sk(draft.group, draft.part)
    return Put(item={"PK": keys.user_pk(job.user_id), "SK": sk, "job": job.id}, label="part")


def same_write(job: Job) -> Put:
    """Returns the write that records that the job drew its request."""
    return Put(item={"PK": keys.user_pk(job.user_id), "SK": same_sk(job.spec), "job": job.id}, label="same")


def final_write(drafts: Job, known: Mapping[int, str | None], final: Job) -> Update:
    """Has a job of drafts know that `final` draws these pictures of it in full; `known` is which job did so before.

    Refused (label "final") when one of them was given to another job after the drafts were read, or they were erased.
    """
    conditions = ["attribute_exists(PK)"] + [
        f"attribute_not_exists(#{FINAL}{number})" if before is None else f"#{FINAL}{number} = :was_{number}"
        for number, before in known.items()
    ]
    return Update(
        key=(keys.user_pk(drafts.user_id), keys.job_sk(drafts.id)),
        label="final",
        assign={f"{FINAL}{number}": final.id for number in known},
        condition=" AND ".join(conditions),
        values={f":was_{number}": before for number, before in known.items() if before is not None},
    )


def same_sk(spec: JobSpec) -> str:
    """Returns the sort key for these exact parameters, model revision, and seed."""
    # None values are left out, so that text-to-image requests keep the key from before other tasks existed.
    return f"{keys.SAME}{keys.digest(spec.model_dump_json(exclude={'quality'}, exclude_none=True))}"
