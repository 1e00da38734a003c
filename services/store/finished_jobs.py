"""Finished jobs as items: brought back from their pictures, and removed together with the notes that lead to them."""

from __future__ import annotations

import contextlib

from services.aws.table import Delete, Put, Table
from services.records import Job
from services.store import keys
from services.store.job_items import job_to_item
from services.store.job_notes import same_sk
from services.store.writes import TransactionRefused


class FinishedJobs:
    """The finished jobs of all users. Each method is one AWS call unless it says otherwise."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def restore(self, job: Job) -> None:
        """Records a job whose record was lost; one that is there stays as it is."""
        restored = Put(item=job_to_item(job), label="job", condition="attribute_not_exists(PK)")
        with contextlib.suppress(TransactionRefused):
            self._table.transact([restored])

    def remove(self, job: Job) -> None:
        """Removes the job's record; no error when it is gone already."""
        self._table.delete(keys.user_pk(job.user_id), keys.job_sk(job.id))

    def remove_with_notes(self, job: Job) -> None:
        """Removes the notes that lead to the job, then its record. Two AWS calls, three for a job of drafts."""
        pk = keys.user_pk(job.user_id)
        self._table.delete(pk, same_sk(job.spec))
        if job.draft is not None:
            self._remove_part(pk, keys.drafts_sk(job.draft.group, job.draft.part), job.id)
        self.remove(job)

    def _remove_part(self, pk: str, sk: str, job_id: str) -> None:
        """Removes the note that leads to a job of drafts, unless it leads to one that was sent in its place."""
        note = Delete(
            key=(pk, sk),
            label="part",
            condition="attribute_not_exists(PK) OR #job = :job",
            values={":job": job_id},
        )
        with contextlib.suppress(TransactionRefused):
            self._table.transact([note])
