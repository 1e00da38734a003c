"""Stores pictures with their parameters embedded; lists, links and erases them."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple

from PIL import UnidentifiedImageError

from services.aws.objects import Objects
from services.backends.base import DrawnResult
from services.clock import now
from services.errors import NotFound, StudioError, Unavailable
from services.formats.png_metadata import PictureParameters, embed
from services.formats.thumbnail import thumbnail
from services.images.attachments import Attachments
from services.logs import event
from services.records import Image, Job, Page, User
from services.store import keys
from services.store.change_notes import change_note
from services.store.image_changes import (
    RECORDS_A_PICTURE,
    Erasable,
    add_image,
    begin_erasing_image,
    remove_image,
)
from services.store.images import ImageStore, Place, find_places
from services.store.transactions import MOST_WRITES, Transactions
from services.store.writes import Write

UPKEEP_BATCH = 20
# A younger erasure is probably still in progress where it was requested.
UPKEEP_AFTER = timedelta(seconds=60)
MAX_PICTURE_BYTES = 32 * 1024 * 1024
# The records of each picture and one note for all of them fit into one transaction.
RECORDS_AT_ONCE = (MOST_WRITES - 1) // RECORDS_A_PICTURE
ANY = Erasable()


class _Small(NamedTuple):
    """A stored thumbnail: its key, and the color shown until the picture is loaded."""

    key: str
    color: str


class Images:
    """The pictures of all users; each method checks ownership."""

    def __init__(
        self, records: ImageStore, transactions: Transactions, objects: Objects, attachments: Attachments
    ) -> None:
        self._records = records
        self._transactions = transactions
        self._objects = objects
        self._attachments = attachments

    def store(self, job: Job, result: DrawnResult) -> tuple[Image, ...]:
        """Puts the job's pictures, parameters embedded, and their thumbnails into S3; two or three calls a picture.

        A withheld picture leaves its number unused.

        A picture that is there already stays: the bucket keeps every version, and each costs. A thumbnail that fails
        is left for the sweeper. The code that closes the job writes the records, using `record_writes`.
        """
        stored = []
        for n, picture in enumerate(result.pictures):
            if picture.png is None:
                continue
            image_id = keys.image_id(job.id, n)
            png = embed(picture.png, parameters(job, n, result))
            key = keys.image_key(job.user_id, job.id, n)
            if not self._objects.put_once(key, png, content_type="image/png"):
                # Another attempt or finisher was first. What is stored is what the record describes.
                png = self._objects.get(key, max_bytes=MAX_PICTURE_BYTES)
            small = self._store_thumbnail(job.user_id, job.id, n, picture.png)
            stored.append(
                Image(
                    id=image_id,
                    user_id=job.user_id,
                    job_id=job.id,
                    n=n,
                    key=key,
                    thumbnail_key=small.key if small else None,
                    color=small.color if small else None,
                    width=job.spec.width,
                    height=job.spec.height,
                    size_bytes=len(png),
                    sha256=hashlib.sha256(png).hexdigest(),
                    seed=picture.seed,
                    model=job.spec.model,
                    prompt=job.spec.prompt,
                    created_at=job.created_at,
                )
            )
        return tuple(stored)

    def _store_thumbnail(self, user_id: str, job_id: str, n: int, png: bytes) -> _Small | None:
        key = keys.thumbnail_key(user_id, job_id, n)
        try:
            data, color = thumbnail(png)
            self._objects.put_once(key, data, content_type="image/webp")
        except (Unavailable, OSError, ValueError, UnidentifiedImageError) as exc:
            event("thumbnail_failed", level=logging.WARNING, exc=exc, user=user_id, job=job_id, n=n)
            return None
        return _Small(key, color)

    def record_writes(self, images: Sequence[Image]) -> tuple[Write, ...]:
        """Return the writes that make stored pictures visible; they are refused if a record already exists."""
        note = change_note(images[0].user_id, [image.id for image in images])
        return (*(add_image(image) for image in images), note)

    def record(self, images: Sequence[Image]) -> None:
        """Makes stored pictures visible. One AWS call. Raises TransactionRefused if a record already exists."""
        self._transactions.run(self.record_writes(images))

    def upkeep(self) -> int:
        """Makes missing thumbnails and resumes interrupted erasures; returns how many.

        Two AWS calls when there is nothing to do. A failing picture is logged and retried next time.
        """
        tasks = [
            (self._repair_thumbnail, place) for place in self._records.without_thumbnail(limit=UPKEEP_BATCH)
        ]
        tasks += [
            (self._finish_erasure, place)
            for place in self._records.half_erased(now() - UPKEEP_AFTER, limit=UPKEEP_BATCH)
        ]
        done = 0
        for task, place in tasks:
            try:
                task(place)
                done += 1
            except StudioError as exc:
                event("upkeep_failed", level=logging.ERROR, exc=exc, user=place.user_id, image=place.id)
        return done

    def _repair_thumbnail(self, place: Place) -> None:
        where = (place.user_id, place.job_id, place.n)
        png = self._objects.get(keys.image_key(*where), max_bytes=MAX_PICTURE_BYTES)
        small = self._store_thumbnail(*where, png)
        if small is not None and not self._records.set_thumbnail(place, small.key, small.color):
            # Deleted meanwhile, so the new thumbnail must go as well.
            self._objects.erase(small.key)

    def get(self, user: User, image_id: str) -> Image:
        """Return the user's picture. Raises NotFound, also for another user's id or a malformed one. One call."""
        place = Place.find(user.id, image_id)
        image = self._records.find(place) if place else None
        if image is None:
            raise NotFound("There is no such picture.")
        return image

    def exists(self, image: Image) -> bool:
        """Whether the picture is visible. One AWS call."""
        return self._records.find(Place.of_image(image)) is not None

    def list(
        self,
        user: User,
        *,
        limit: int = 60,
        after: str | None = None,
        favorites: bool = False,
        job_id: str | None = None,
    ) -> Page[Image]:
        """Return the user's pictures, newest first: all, starred ones, or those of a job. Other filters need a search.

        One call; more when few are starred or many of the newest are in the trash. Raises InvalidRequest(after).
        """
        if job_id is not None and not keys.is_job_id(job_id):
            return Page(items=())
        return self._records.page(user.id, limit=limit, after=after, favorites=favorites, job_id=job_id)

    def some(self, user: User, image_ids: Sequence[str]) -> dict[str, Image]:
        """Return the user's visible pictures with these ids, by id; one call per hundred."""
        found = self._records.visible(find_places(user.id, image_ids))
        return {place.id: image for place, image in found.items()}

    def of_jobs(self, user: User, jobs: Sequence[Job]) -> dict[str, tuple[Image, ...]]:
        """Return the existing pictures of several of the user's jobs, by job id; one call per hundred."""
        wanted = [place for job in jobs for place in find_places(user.id, job.image_ids)]
        found: dict[str, list[Image]] = {job.id: [] for job in jobs}
        for image in self._records.visible(wanted).values():
            found[image.job_id].append(image)
        return {job_id: tuple(images) for job_id, images in found.items()}

    def with_all_images(self, jobs: Sequence[Job]) -> frozenset[str]:
        """Return the ids of jobs whose stored pictures all still exist. One AWS call per hundred pictures."""
        wanted = {job.id: set(find_places(job.user_id, job.image_ids)) for job in jobs}
        visible = self._records.visible(place for places in wanted.values() for place in places).keys()
        return frozenset(job_id for job_id, places in wanted.items() if places and places <= visible)

    def url(self, image: Image, *, download: bool = False) -> str:
        """Return a link to the full picture, valid for an hour; no AWS call."""
        name = f"atelier-{image.model}-{image.seed}-{image.id}.png" if download else None
        return self._objects.link(image.key, download_as=name)

    def thumbnail_url(self, image: Image) -> str:
        """Return a link to the thumbnail (or the full picture without one), valid for an hour; no AWS call."""
        return self._objects.link(image.thumbnail_key or image.key)

    def delete(self, user: User, image_id: str) -> None:
        """Erases the picture permanently, in the trash or not. Raises NotFound."""
        place = Place.find(user.id, image_id)
        if place is None or not self.erase([place]):
            raise NotFound("There is no such picture.")

    def erase(self, places: Sequence[Place], *, which: Erasable = ANY) -> tuple[Place, ...]:
        """Erases those pictures that match `which`, with all versions and thumbnails; returns them.

        All must belong to one user. First one transaction per 33 pictures writes tombstones, which record the intent,
        and hides the records; then the objects are erased, and last the records. So a crash in between shows no broken
        picture, the upkeep resumes it, and no erased picture comes back. Four more AWS calls per picture.
        """
        since = now()
        refused = self._transactions.run_each(
            {place.id: begin_erasing_image(place, since, which) for place in places},
            note=lambda group: change_note(places[0].user_id, group, erased=True),
        )
        gone = tuple(place for place in places if place.id not in refused)
        for place in gone:
            self._finish_erasure(place)
        return gone

    def _finish_erasure(self, place: Place) -> None:
        self.erase_objects(place)
        self._attachments.erase_of_image(place)
        self._records.remove(place)

    def erase_records(self, user_id: str, job_id: str) -> int:
        """Removes the records of a job's pictures and their words from the search index; returns how many.

        Two AWS calls for up to 49 pictures. Erase their objects first.
        """
        places = self._records.of_job(user_id, job_id)
        for start in range(0, len(places), RECORDS_AT_ONCE):
            group = places[start : start + RECORDS_AT_ONCE]
            removals = [write for place in group for write in remove_image(place)]
            note = change_note(user_id, [place.id for place in group], erased=True)
            self._transactions.run([*removals, note])
        return len(places)

    def erase_unrecorded(self, job: Job) -> None:
        """Erases a finished job's pictures without a visible record, which their owner deleted."""
        places = find_places(job.user_id, job.image_ids)
        present = self._records.present(places)
        for place in places:
            if place not in present:
                self.erase_objects(place)

    def erase_objects(self, place: Place) -> int:
        """Erases one picture's objects with every version; returns the number of keys. Two AWS calls."""
        return self._objects.erase(keys.image_prefix(place.user_id, place.job_id, place.n))

    def discard(self, user_id: str, job_id: str) -> int:
        """Erases everything stored for a job without picture records; returns the number of keys."""
        return self._objects.erase(keys.images_prefix(user_id, job_id))

    def discard_all(self, user_id: str) -> int:
        """Erases every picture object of a user; returns the number of keys. The caller removes the records."""
        return self._objects.erase(keys.images_prefix(user_id))


def parameters(job: Job, n: int, result: DrawnResult) -> PictureParameters:
    """Return the parameters embedded in the n-th picture of a job."""
    spec = job.spec
    return PictureParameters(
        prompt=spec.prompt,
        negative_prompt=spec.negative_prompt,
        steps=spec.steps,
        scheduler=spec.scheduler,
        guidance=spec.guidance,
        seed=result.pictures[n].seed,
        width=spec.width,
        height=spec.height,
        model=spec.model,
        model_revision=result.provenance.revision,
        job=job.id,
        image=keys.image_id(job.id, n),
        created_at=job.created_at,
        strength=spec.strength,
        image_sha256=spec.image_sha256,
        mask_sha256=spec.mask_sha256,
    )
