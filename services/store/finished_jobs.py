"""Finished jobs as items: restored from their pictures, and removed together with notes that refer to them."""

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
        """Records a job whose record was lost; an existing one stays as it is."""
        restored = Put(item=job_to_item(job), label="job", condition="attribute_not_exists(PK)")
        with contextlib.suppress(TransactionRefused):
            self._table.transact([restored])

    def remove(self, job: Job) -> None:
        """Removes the job's record; no error if it is gone."""
        self._table.delete(keys.user_pk(job.user_id), keys.job_sk(job.id))

    def remove_with_notes(self, job: Job) -> None:
        """Removes the notes that refer to the job, then its record. Two AWS calls, three for a draft job."""
        pk = keys.user_pk(job.user_id)
        self._table.delete(pk, same_sk(job.spec))
        if job.draft is not None:
            self._remove_part(pk, keys.drafts_sk(job.draft.group, job.draft.part), job.id)
        self.remove(job)

    def _remove_part(self, pk: str, sk: str, job_id: str) -> None:
        """Removes the note that refers to a draft job, unless it refers to a replacement."""
        note = Delete(
            key=(pk, sk),
            label="part",
            condition="attribute_not_exists(PK) OR #job = :job",
            values={":job": job_id},
        )
        with contextlib.suppress(TransactionRefused):
            self._table.transact([note])
