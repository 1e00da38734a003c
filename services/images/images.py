"""Pictures: stored with their parameters inside, listed, linked, erased."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from PIL import UnidentifiedImageError

from services.aws.objects import Objects
from services.aws.table import ConditionFailed, Delete, Item, Put, Table, Update
from services.backends.base import DrawnResult
from services.clock import now
from services.errors import NotFound, StudioError, Unavailable
from services.formats.png_metadata import PictureParameters, embed
from services.formats.thumbnail import thumbnail
from services.images import bulk_changes
from services.images.attachments import Attachments, Erased
from services.logs import event
from services.records import Image, Job, Page, User
from services.store import keys
from services.store.change_notes import change_note
from services.store.images import (
    COLOR,
    FAVORITE,
    NOT_ERASING,
    Place,
    image_from_item,
    image_to_item,
    is_visible,
)

UPKEEP_BATCH = 20
# An erasure younger than this is being done by whoever asked for it.
UPKEEP_AFTER = timedelta(seconds=60)
# Late copies and restored backups come within this time, if ever.
TOMBSTONE_KEPT = timedelta(days=400)
# Marks are rare: a page of marked pictures is looked for among this many a call (half a megabyte).
MARKED_LOOK_THROUGH = 1000
MAX_PICTURE_BYTES = 32 * 1024 * 1024


class _Small(NamedTuple):
    """A stored thumbnail: its key, and the color that stands for the picture until it is loaded."""

    key: str
    color: str


class Images:
    """The pictures of all users; each method checks whose they are."""

    def __init__(self, table: Table, objects: Objects, attachments: Attachments) -> None:
        self._table = table
        self._objects = objects
        self._attachments = attachments

    def store(self, job: Job, result: DrawnResult) -> tuple[Image, ...]:
        """Puts the job's pictures, parameters embedded, and their thumbnails into S3; two calls a picture.

        A withheld one leaves its number unused.

        The same job again writes the same keys and bytes. A thumbnail that fails is left for the sweeper. The
        records are written by whoever closes the job, with `record_writes`.
        """
        stored = []
        for n, picture in enumerate(result.pictures):
            if picture.png is None:
                continue
            image_id = keys.image_id(job.id, n)
            png = embed(picture.png, parameters(job, n, result))
            key = keys.image_key(job.user_id, job.id, n)
            self._objects.put(key, png, content_type="image/png")
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
            self._objects.put(key, data, content_type="image/webp")
        except (Unavailable, OSError, ValueError, UnidentifiedImageError) as exc:
            event("thumbnail_failed", level=logging.WARNING, exc=exc, user=user_id, job=job_id, n=n)
            return None
        return _Small(key, color)

    def record_writes(self, images: Sequence[Image]) -> tuple[Put, ...]:
        """The writes that make stored pictures visible; refused where there is a record already."""
        return (
            *(
                Put(item=image_to_item(image), label="image", condition="attribute_not_exists(PK)")
                for image in images
            ),
            change_note(images[0].user_id, [image.id for image in images]),
        )

    def upkeep(self) -> int:
        """Makes thumbnails that failed at first, and goes on with erasures that were cut off; returns how many.

        Two AWS calls when there is nothing to do. A picture that makes trouble is logged and left for the next time.
        """
        moment_ago = (now() - UPKEEP_AFTER).isoformat()
        tasks = [
            (self._repair_thumbnail, item) for item in self._table.index(keys.REPAIR, limit=UPKEEP_BATCH)
        ]
        tasks += [
            (self._finish_erasure, item)
            for item in self._table.index(keys.ERASING, up_to=moment_ago, limit=UPKEEP_BATCH)
        ]
        done = 0
        for task, item in tasks:
            place = Place.of(item)
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
        if small is None:
            return
        try:
            self._table.update(
                Update(
                    key=place.key,
                    assign={"thumbnail_key": small.key, COLOR: small.color},
                    remove=("GSI1PK", "GSI1SK"),
                    condition=NOT_ERASING,
                )
            )
        except ConditionFailed:
            # Deleted meanwhile: the thumbnail just made must go as well.
            self._objects.erase(small.key)

    def get(self, user: User, image_id: str) -> Image:
        """The user's picture. Raises NotFound, also for a foreign or malformed id. One call."""
        place = Place.find(user.id, image_id)
        item = self._table.get(*place.key) if place else None
        if item is None or not is_visible(item):
            raise NotFound("There is no such picture.")
        return image_from_item(item)

    def list(
        self,
        user: User,
        *,
        limit: int = 60,
        after: str | None = None,
        favorites: bool = False,
        job_id: str | None = None,
    ) -> Page[Image]:
        """The user's pictures, newest first: all, starred ones, or those of a job. For more there is the search.

        One call; more when few are starred, or many of the newest are in the trash. Raises InvalidRequest(after).
        """
        if job_id is not None and not keys.is_job_id(job_id):
            return Page(items=())
        prefix = keys.IMAGE if job_id is None else f"{keys.IMAGE}{job_id}#"
        conditions = ["attribute_not_exists(#erasing)", "attribute_not_exists(#trashed_at)"]
        values: dict[str, Any] = {}
        if favorites:
            conditions.append(f"#{FAVORITE} = :yes")
            values[":yes"] = True
        items, cursor = self._table.query(
            keys.user_pk(user.id),
            prefix,
            limit=limit,
            after=after,
            newest_first=job_id is None,
            where=" AND ".join(conditions),
            values=values,
            look_through=MARKED_LOOK_THROUGH if values else limit + 10,
            # Whoever has just deleted or starred a picture looks at it being so.
            consistent=True,
        )
        return Page(items=tuple(image_from_item(item) for item in items), next=cursor)

    def some(self, user: User, image_ids: Sequence[str]) -> dict[str, Image]:
        """Those of the user's pictures of these ids that are to be seen, by id; one call for each hundred."""
        places = [place for image_id in image_ids if (place := Place.find(user.id, image_id))]
        items = self._table.get_many(place.key for place in places) if places else {}
        return {
            place.id: image_from_item(item)
            for place in places
            if (item := items.get(place.key)) and is_visible(item)
        }

    def of_jobs(self, user: User, jobs: Sequence[Job]) -> dict[str, tuple[Image, ...]]:
        """The pictures of several of the user's jobs that are still there, by job id; one call for each hundred."""
        wanted = [
            place.key
            for job in jobs
            for image_id in job.image_ids
            if (place := Place.find(user.id, image_id))
        ]
        items = self._table.get_many(wanted)
        found: dict[str, list[Image]] = {job.id: [] for job in jobs}
        for key in wanted:
            if (item := items.get(key)) and is_visible(item):
                image = image_from_item(item)
                found[image.job_id].append(image)
        return {job_id: tuple(images) for job_id, images in found.items()}

    def with_all_images(self, jobs: Sequence[Job]) -> frozenset[str]:
        """The ids of those jobs whose stored pictures are all still there. One AWS call for each hundred pictures."""
        wanted = {
            job.id: {
                (keys.user_pk(job.user_id), keys.image_sk(job.id, parts[1]))
                for image_id in job.image_ids
                if (parts := keys.split_image_id(image_id))
            }
            for job in jobs
        }
        found = self._table.get_many(key for places in wanted.values() for key in places)
        visible = {key for key, item in found.items() if is_visible(item)}
        return frozenset(job_id for job_id, places in wanted.items() if places and places <= visible)

    def url(self, image: Image, *, download: bool = False) -> str:
        """A link to the full picture, good for an hour; no AWS call."""
        name = f"atelier-{image.model}-{image.seed}-{image.id}.png" if download else None
        return self._objects.link(image.key, download_as=name)

    def thumbnail_url(self, image: Image) -> str:
        """A link to the small picture (the full one while it has no thumbnail), good for an hour; no AWS call."""
        return self._objects.link(image.thumbnail_key or image.key)

    def delete(self, user: User, image_id: str) -> None:
        """Erases the picture for good, in the trash or not. Raises NotFound."""
        place = Place.find(user.id, image_id)
        if place is None or not self.erase([place]):
            raise NotFound("There is no such picture.")

    def erase(
        self,
        places: Sequence[Place],
        *,
        condition: str = NOT_ERASING,
        values: Mapping[str, Any] | None = None,
    ) -> tuple[Place, ...]:
        """Erases with all versions and thumbnails those of which `condition` is true; returns these.

        They are all of one user. First one transaction, for 33 pictures each, writes tombstones that say that it is
        meant and hides the records; then the objects go, and last the records. So a crash in between shows no broken
        picture, the upkeep goes on with it, and nothing brings a picture back. Four more AWS calls a picture.
        """
        since = now().isoformat()
        refused = bulk_changes.apply(
            self._table,
            {
                place.id: (
                    Update(
                        key=place.key,
                        label=place.id,
                        assign={
                            "erasing": True,
                            "GSI1PK": keys.ERASING,
                            "GSI1SK": f"{since}#{place.id}",
                        },
                        condition=condition,
                        values=values or {},
                    ),
                    Put(item=tombstone(place.user_id, place.job_id, place.n), label=place.id),
                    Delete(key=place.trash_key, label=place.id),
                )
                for place in places
            },
            note=lambda group: change_note(places[0].user_id, group, erased=True),
        )
        gone = tuple(place for place in places if place.id not in refused)
        for place in gone:
            self._finish_erasure(place)
        return gone

    def _finish_erasure(self, place: Place) -> None:
        self.erase_objects(place.user_id, place.job_id, place.n)
        self._attachments.erase(place.user_id, keys.attached_prefix(place.job_id, place.n))
        self._table.delete(*place.key)

    def erase_attached(self, user_id: str, prefix: str = keys.ATTACHED) -> Erased:
        """Erases the shares and notes that hang on the user's pictures, on those under `prefix` only; what went."""
        return self._attachments.erase(user_id, prefix)

    def erase_unrecorded(self, job: Job) -> None:
        """Erases those of a finished job's pictures that have no visible record: their maker deleted them."""
        numbers = [parts[1] for image_id in job.image_ids if (parts := keys.split_image_id(image_id))]
        pk = keys.user_pk(job.user_id)
        items = self._table.get_many((pk, keys.image_sk(job.id, n)) for n in numbers)
        for n in numbers:
            item = items.get((pk, keys.image_sk(job.id, n)))
            if item is None or item.get("erasing"):
                self.erase_objects(job.user_id, job.id, n)

    def erase_objects(self, user_id: str, job_id: str, n: int) -> int:
        """Erases one picture's objects with every version; returns how many keys went. Two AWS calls."""
        return self._objects.erase(keys.image_prefix(user_id, job_id, n))

    def discard(self, user_id: str, job_id: str) -> int:
        """Erases whatever lies under a job that has no pictures by record; returns how many keys went."""
        return self._objects.erase(keys.images_prefix(user_id, job_id))

    def discard_all(self, user_id: str) -> int:
        """Erases every picture object of a user; returns how many keys went. Records are the caller's."""
        return self._objects.erase(keys.images_prefix(user_id))


def tombstone(user_id: str, job_id: str, n: int | None = None) -> Item:
    """The mark that a job, or one picture of it, was erased on purpose; it holds nothing of either."""
    return {
        "PK": keys.user_pk(user_id),
        "SK": keys.tombstone_sk(job_id, n),
        "expires_at": int((now() + TOMBSTONE_KEPT).timestamp()),
    }


def parameters(job: Job, n: int, result: DrawnResult) -> PictureParameters:
    """What is written into the n-th picture of a job."""
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
