"""Erasing jobs for good: every object version, every record, and a receipt that was checked by listing again."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from services.aws.objects import Objects
from services.aws.table import Delete, Table, TransactionRefused
from services.clock import now
from services.errors import Unavailable
from services.exports.orders import Exports
from services.images.images import Images, tombstone
from services.logs import event
from services.records import ErasureReceipt, Job
from services.search.index import SearchIndex
from services.store import keys
from services.store.change_notes import change_note
from services.store.images import Place
from services.store.job_notes import same_sk
from services.store.jobs import JobStore

TEXTS = (keys.LIST, keys.TEMPLATE, keys.PROMPT, keys.ALBUM)
# Two records a picture, and the note of it, in one transaction of at most a hundred writes.
RECORDS_AT_ONCE = 49
# Notes that lead to jobs.
NOTES = ("IDEM#", "SAME#", keys.DRAFTS)
KINDS = (keys.IMAGE, keys.TRASH, keys.ATTACHED, keys.JOB, keys.EXPORT, *NOTES, *TEXTS)


class Erasure:
    """Removes what a user asked to have removed. Objects go before records, so that a crash leaves a way to resume."""

    def __init__(
        self,
        table: Table,
        store: JobStore,
        images: Images,
        index: SearchIndex,
        exports: Exports,
        buckets: tuple[Objects, Objects],
    ) -> None:
        self._table = table
        self._store = store
        self._images = images
        self._index = index
        self._exports = exports
        self._working = buckets

    def erase_job(self, job: Job) -> ErasureReceipt:
        """Erases one ended job: pictures (those in the trash too) with what hangs on them, inputs, outputs, records."""
        pk = keys.user_pk(job.user_id)
        self._table.put(tombstone(job.user_id, job.id))
        images = list(self._table.each(pk, f"{keys.IMAGE}{job.id}#"))
        objects = self._images.discard(job.user_id, job.id)
        for bucket in self._working:
            objects += bucket.erase(keys.job_prefix(job.user_id, job.id) + "/")
            objects += bucket.erase(keys.failures_prefix(job.user_id, job.id))
        self._erase_records([Place.of(item) for item in images])
        # After the pictures: whoever is just sharing one of them sees that it is gone, or is seen here.
        attached = self._images.erase_attached(job.user_id, keys.attached_prefix(job.id))
        objects += attached.objects
        self._table.delete(pk, same_sk(job.spec))
        if job.draft is not None:
            self._erase_part(pk, keys.drafts_sk(job.draft.group, job.draft.part), job.id)
        self._table.delete(pk, keys.job_sk(job.id))
        receipt = ErasureReceipt(
            jobs=1, images=len(images), objects=objects, shares=attached.shares, completed_at=now()
        )
        event("job_erased", user=job.user_id, job=job.id, images=receipt.images, objects=receipt.objects)
        return receipt

    def _erase_part(self, pk: str, sk: str, job_id: str) -> None:
        """Removes the note that leads to a job of drafts, unless it leads to one that was sent in its place."""
        note = Delete(
            key=(pk, sk),
            label="part",
            condition="attribute_not_exists(PK) OR #job = :job",
            values={":job": job_id},
        )
        with contextlib.suppress(TransactionRefused):
            self._table.transact([note])

    def _erase_records(self, places: Sequence[Place]) -> None:
        """Removes pictures' records, and has their words leave the search index. One AWS call for each 49."""
        for start in range(0, len(places), RECORDS_AT_ONCE):
            group = places[start : start + RECORDS_AT_ONCE]
            deletes = [
                Delete(key=key, label=place.id) for place in group for key in (place.key, place.trash_key)
            ]
            note = change_note(group[0].user_id, [place.id for place in group], erased=True)
            self._table.transact([*deletes, note])

    def erase_all(self, user_id: str) -> ErasureReceipt:
        """Erases all of a user's ended jobs, pictures, shares, exports, albums, lists, templates and stars.

        Asked again it goes on where it was. Charges stay: they say what was spent, and nothing about what was drawn; so
        do tombstones and the markers that have containers stop. Raises Unavailable when something new appeared while it
        ran.
        """
        pk = keys.user_pk(user_id)
        ended = [job for job in self._store.every(user_id) if job.status.terminal]
        for job in ended:
            self._table.put(tombstone(user_id, job.id))
        objects = self._erase_objects(user_id)
        images = texts = 0
        for kind in (keys.IMAGE, keys.TRASH, *NOTES, *TEXTS):
            for item in list(self._table.each(pk, kind)):
                self._table.delete(pk, item["SK"])
                images += kind == keys.IMAGE
                texts += kind in TEXTS
        attached = self._images.erase_attached(user_id)
        objects += attached.objects + self._exports.forget(user_id)
        objects += self._index.forget(user_id)
        for job in ended:
            self._table.delete(pk, keys.job_sk(job.id))
        left = any(self._table.query(pk, kind, limit=1, consistent=True)[0] for kind in KINDS)
        if self._erase_objects(user_id) or left:
            raise Unavailable("Something new was stored while everything was being erased. Erase again.")
        receipt = ErasureReceipt(
            jobs=len(ended),
            images=images,
            objects=objects,
            texts=texts,
            shares=attached.shares,
            completed_at=now(),
        )
        event("user_erased", user=user_id, jobs=receipt.jobs, images=receipt.images, objects=objects)
        return receipt

    def _erase_objects(self, user_id: str) -> int:
        objects = self._images.discard_all(user_id)
        for bucket in self._working:
            objects += bucket.erase(f"{user_id}/", keep=f"/{keys.CANCEL_MARKER}")
            objects += bucket.erase(keys.failures_prefix(user_id))
        return objects
