"""Pictures without a record, as a crash or a restored backup can leave them: found, and recorded again.

A stored PNG carries its job's parameters, so its record can be made from it. What cannot be read is reported.
"""

from __future__ import annotations

import hashlib
import itertools
import logging

from services.aws.objects import Objects
from services.aws.table import Put, Table, TransactionRefused
from services.clock import now
from services.errors import NotFound, StudioError
from services.formats.png_metadata import PictureParameters, PngError, read
from services.formats.thumbnail import color_of
from services.images.images import MAX_PICTURE_BYTES, Images
from services.logs import event
from services.records import Estimate, Image, Job, JobSpec, JobStatus, Record
from services.store import keys
from services.store.job_items import job_to_item
from services.store.jobs import JobStore

BATCH = 100


class ReconcileReport(Record):
    """What one pass found."""

    pictures: int = 0
    restored: int = 0
    erased: int = 0
    unreadable: int = 0


class Reconciler:
    """Compares the images bucket with the table."""

    def __init__(self, table: Table, store: JobStore, images: Images, objects: Objects) -> None:
        self._table = table
        self._store = store
        self._images = images
        self._objects = objects

    def reconcile(self) -> ReconcileReport:
        """One pass over all pictures: a listing call for each thousand objects and a read for each hundred pictures."""
        report = ReconcileReport()
        found = (parts for key in self._objects.keys("images/") if (parts := keys.split_image_key(key)))
        while batch := list(itertools.islice(found, BATCH)):
            report = _sum(report, self._check(batch))
        return report

    def _check(self, batch: list[tuple[str, str, int]]) -> ReconcileReport:
        records = self._table.get_many(
            key
            for user, job, n in batch
            for key in (
                (keys.user_pk(user), keys.image_sk(job, n)),
                (keys.user_pk(user), keys.tombstone_sk(job)),
                (keys.user_pk(user), keys.tombstone_sk(job, n)),
            )
        )
        missing = [
            (user, job, n)
            for user, job, n in batch
            if (keys.user_pk(user), keys.image_sk(job, n)) not in records
        ]
        jobs = self._store.find_many([(user, job) for user, job, _ in missing])
        erased = restored = unreadable = 0
        for user, job_id, n in missing:
            job = jobs.get((user, job_id))
            graves = (keys.tombstone_sk(job_id), keys.tombstone_sk(job_id, n))
            buried = any((keys.user_pk(user), sk) in records for sk in graves)
            if job is not None and not job.status.terminal and not buried:
                continue  # Being stored right now; its own finish writes the record.
            if buried or (job is not None and job.status is not JobStatus.SUCCEEDED):
                # Erased on purpose, or of a job that was refunded: a late copy.
                self._images.erase_objects(user, job_id, n)
                erased += 1
                continue
            try:
                self._restore(user, job_id, n)
                restored += 1
            except (StudioError, PngError) as exc:
                event("picture_unreadable", level=logging.ERROR, exc=exc, user=user, job=job_id, n=n)
                unreadable += 1
        return ReconcileReport(pictures=len(batch), restored=restored, erased=erased, unreadable=unreadable)

    def _restore(self, user_id: str, job_id: str, n: int) -> None:
        png = self._objects.get(keys.image_key(user_id, job_id, n), max_bytes=MAX_PICTURE_BYTES)
        parameters = read(png).parameters
        if parameters is None or parameters.image != keys.image_id(job_id, n):
            raise NotFound("The picture does not carry its own parameters.")
        thumbnail = keys.thumbnail_key(user_id, job_id, n)
        image = Image(
            id=parameters.image,
            user_id=user_id,
            job_id=job_id,
            n=n,
            key=keys.image_key(user_id, job_id, n),
            thumbnail_key=thumbnail if self._objects.exists(thumbnail) else None,
            width=parameters.width,
            height=parameters.height,
            size_bytes=len(png),
            sha256=hashlib.sha256(png).hexdigest(),
            seed=parameters.seed,
            model=parameters.model,
            prompt=parameters.prompt,
            color=color_of(png),
            created_at=parameters.created_at,
        )
        try:
            self._table.transact(self._images.record_writes([image]))
        except TransactionRefused:
            return  # Somebody wrote the record meanwhile.
        if self._store.find(user_id, job_id) is None:
            self._restore_job(user_id, job_id, n, parameters)
        event("picture_restored", level=logging.WARNING, user=user_id, job=job_id, n=n)

    def _restore_job(self, user_id: str, job_id: str, n: int, parameters: PictureParameters) -> None:
        """Makes the lost record of a job from one of its pictures, naming all that are in S3."""
        stored = (
            keys.split_image_key(key) for key in self._objects.keys(keys.images_prefix(user_id, job_id))
        )
        numbers = sorted(parts[2] for parts in stored if parts)
        try:
            self._table.transact([_job_write(user_id, job_id, n, parameters, numbers)])
        except TransactionRefused:
            return  # Another reconciler was faster.


def _job_write(user_id: str, job_id: str, n: int, parameters: PictureParameters, numbers: list[int]) -> Put:
    """The record of a job whose pictures were found: what its n-th picture says of it, and no charge."""
    spec = JobSpec(
        prompt=parameters.prompt,
        negative_prompt=parameters.negative_prompt,
        model=parameters.model,
        model_revision=parameters.model_revision,
        width=parameters.width,
        height=parameters.height,
        steps=parameters.steps,
        guidance=parameters.guidance,
        scheduler=parameters.scheduler,
        quality="",
        seed=(parameters.seed - n) % 2**32,
        count=numbers[-1] + 1,
        strength=parameters.strength,
        image_sha256=parameters.image_sha256,
        mask_sha256=parameters.mask_sha256,
    )
    job = Job(
        id=job_id,
        user_id=user_id,
        status=JobStatus.SUCCEEDED,
        spec=spec,
        attempt=1,
        created_at=parameters.created_at,
        completed_at=now(),
        estimate=Estimate(cost_usd=0, at_most_usd=0, run_s=0, cold_start_s=0),
        cost_usd=0.0,
        image_ids=tuple(keys.image_id(job_id, number) for number in numbers),
    )
    return Put(item=job_to_item(job), label="job", condition="attribute_not_exists(PK)")


def _sum(left: ReconcileReport, right: ReconcileReport) -> ReconcileReport:
    a, b = left.model_dump(), right.model_dump()
    return ReconcileReport(**{name: a[name] + b[name] for name in a})
