"""Restores the records of pictures that lost them through a crash or a restored backup.

A stored PNG contains its job's parameters, so its record can be rebuilt from it. Unreadable pictures are reported.
"""

from __future__ import annotations

import hashlib
import itertools
import logging
from collections.abc import Callable, Sequence

from services.aws.objects import Objects
from services.clock import now
from services.errors import NotFound, StudioError
from services.formats.png_metadata import PictureParameters, PngError, read
from services.formats.thumbnail import color_of
from services.images.images import MAX_PICTURE_BYTES, Images
from services.logs import event
from services.records import Estimate, Image, Job, JobSpec, JobStatus, Record
from services.store import keys
from services.store.finished_jobs import FinishedJobs
from services.store.images import Place
from services.store.jobs import JobStore
from services.store.tombstones import Tombstones
from services.store.writes import TransactionRefused

BATCH = 100


class ReconcileReport(Record):
    """The counts of one pass."""

    pictures: int = 0
    restored: int = 0
    erased: int = 0
    unreadable: int = 0


class Reconciler:
    """Compares the images bucket with the table."""

    def __init__(
        self,
        tombstones: Tombstones,
        jobs: JobStore,
        finished: FinishedJobs,
        images: Images,
        objects: Objects,
    ) -> None:
        self._tombstones = tombstones
        self._jobs = jobs
        self._finished = finished
        self._images = images
        self._objects = objects

    def reconcile(self, stopped: Callable[[], bool] = lambda: False) -> ReconcileReport:
        """Checks all pictures once, which takes hours for a large bucket; ends early when `stopped` returns True.

        One listing call per thousand objects, and three reads per hundred pictures.
        """
        report = ReconcileReport()
        keys_found = (keys.split_image_key(key) for key in self._objects.keys("images/"))
        found = (Place(*parts) for parts in keys_found if parts)
        while not stopped() and (batch := list(itertools.islice(found, BATCH))):
            report = _sum(report, self._check(batch))
        return report

    def _check(self, batch: Sequence[Place]) -> ReconcileReport:
        traces = self._tombstones.traces(batch)
        missing = [place for place in batch if place not in traces.recorded]
        jobs = self._jobs.find_many([(place.user_id, place.job_id) for place in missing])
        erased = restored = unreadable = 0
        for place in missing:
            job = jobs.get((place.user_id, place.job_id))
            buried = place in traces.erased
            if job is not None and not job.status.terminal and not buried:
                continue  # Still being stored; the worker writes the record when it finishes.
            if buried or (job is not None and job.status is not JobStatus.SUCCEEDED):
                # Erased on purpose, or a late copy from a refunded job.
                self._images.erase_objects(place)
                erased += 1
                continue
            try:
                self._restore(place)
                restored += 1
            except (StudioError, PngError) as exc:
                event("picture_unreadable", level=logging.ERROR, exc=exc, user=place.user_id, image=place.id)
                unreadable += 1
        return ReconcileReport(pictures=len(batch), restored=restored, erased=erased, unreadable=unreadable)

    def _restore(self, place: Place) -> None:
        user_id, job_id, n = place.user_id, place.job_id, place.n
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
            self._images.record([image])
        except TransactionRefused:
            return  # The record was written concurrently.
        if self._jobs.find(user_id, job_id) is None:
            self._restore_job(user_id, job_id, n, parameters)
        event("picture_restored", level=logging.WARNING, user=user_id, job=job_id, n=n)

    def _restore_job(self, user_id: str, job_id: str, n: int, parameters: PictureParameters) -> None:
        """Rebuilds a job's lost record from one of its pictures, listing all those in S3."""
        stored = (
            keys.split_image_key(key) for key in self._objects.keys(keys.images_prefix(user_id, job_id))
        )
        numbers = sorted(parts[2] for parts in stored if parts)
        self._finished.restore(_job(user_id, job_id, n, parameters, numbers))


def _job(user_id: str, job_id: str, n: int, parameters: PictureParameters, numbers: list[int]) -> Job:
    """Return a job rebuilt from its n-th picture, without a charge."""
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
    return Job(
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


def _sum(left: ReconcileReport, right: ReconcileReport) -> ReconcileReport:
    a, b = left.model_dump(), right.model_dump()
    return ReconcileReport(**{name: a[name] + b[name] for name in a})
