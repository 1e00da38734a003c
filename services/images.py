"""Pictures: stored with their parameters inside, listed, linked, starred, erased."""

from __future__ import annotations

import hashlib
import io
import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from PIL import Image as Pillow
from PIL import UnidentifiedImageError

from services import keys
from services.answer import Succeeded
from services.aws.objects import Objects
from services.aws.table import ConditionFailed, Item, Put, Table, Update
from services.errors import NotFound, StudioError, Unavailable
from services.job_store import now
from services.logs import event
from services.metadata import PictureParameters, embed
from services.records import Image, Job, Page, User

THUMBNAIL_PX = 300
UPKEEP_BATCH = 20
# An erasure younger than this is being done by whoever asked for it.
UPKEEP_AFTER = timedelta(seconds=60)
# Late copies and restored backups come within this time, if ever.
TOMBSTONE_KEPT = timedelta(days=400)
# Stars are rare: a page of them is looked for among this many pictures a call (half a megabyte).
FAVOURITES_LOOK_THROUGH = 1000
MAX_PICTURE_BYTES = 32 * 1024 * 1024


class Images:
    """The pictures of all users; each method checks whose they are."""

    def __init__(self, table: Table, objects: Objects) -> None:
        self._table = table
        self._objects = objects

    def store(self, job: Job, answer: Succeeded, pictures: Sequence[bytes | None]) -> tuple[Image, ...]:
        """Puts the job's pictures, parameters embedded, and their thumbnails into S3; two calls a picture.

        A withheld one (None) leaves its number unused.

        The same job again writes the same keys and bytes. A thumbnail that fails is left for the sweeper. The
        records are written by whoever closes the job, with `record_writes`.
        """
        stored = []
        for n, data in enumerate(pictures):
            if data is None:
                continue
            image_id = keys.image_id(job.id, n)
            png = embed(data, parameters(job, n, answer))
            key = keys.image_key(job.user_id, job.id, n)
            self._objects.put(key, png, content_type="image/png")
            stored.append(
                Image(
                    id=image_id,
                    user_id=job.user_id,
                    job_id=job.id,
                    n=n,
                    key=key,
                    thumbnail_key=self._store_thumbnail(job.user_id, job.id, n, data),
                    width=job.spec.width,
                    height=job.spec.height,
                    size_bytes=len(png),
                    sha256=hashlib.sha256(png).hexdigest(),
                    seed=answer.images[n].seed,
                    model=job.spec.model,
                    prompt=job.spec.prompt,
                    created_at=job.created_at,
                )
            )
        return tuple(stored)

    def _store_thumbnail(self, user_id: str, job_id: str, n: int, png: bytes) -> str | None:
        key = keys.thumbnail_key(user_id, job_id, n)
        try:
            self._objects.put(key, thumbnail(png), content_type="image/webp")
        except (Unavailable, OSError, ValueError, UnidentifiedImageError) as exc:
            event("thumbnail_failed", level=logging.WARNING, exc=exc, user=user_id, job=job_id, n=n)
            return None
        return key

    def record_writes(self, images: Sequence[Image]) -> tuple[Put, ...]:
        """The writes that make stored pictures visible; refused where there is a record already."""
        return tuple(
            Put(item=_to_item(image), label="image", condition="attribute_not_exists(PK)") for image in images
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
            image = _from_item(item)
            try:
                task(image)
                done += 1
            except StudioError as exc:
                event("upkeep_failed", level=logging.ERROR, exc=exc, user=image.user_id, image=image.id)
        return done

    def _repair_thumbnail(self, image: Image) -> None:
        png = self._objects.get(image.key, max_bytes=MAX_PICTURE_BYTES)
        key = self._store_thumbnail(image.user_id, image.job_id, image.n, png)
        if key is None:
            return
        try:
            self._change(image, assign={"thumbnail_key": key}, remove=("GSI1PK", "GSI1SK"))
        except NotFound:
            # Deleted meanwhile: the thumbnail just made must go as well.
            self._objects.erase(key)

    def get(self, user: User, image_id: str) -> Image:
        """The user's picture. Raises NotFound, also for a foreign or malformed id. One call."""
        parts = keys.split_image_id(image_id)
        item = self._table.get(keys.user_pk(user.id), keys.image_sk(*parts)) if parts else None
        if item is None or item.get("erasing"):
            raise NotFound("There is no such picture.")
        return _from_item(item)

    def list(
        self,
        user: User,
        *,
        limit: int = 60,
        after: str | None = None,
        favourites: bool = False,
        job_id: str | None = None,
    ) -> Page[Image]:
        """The user's pictures, newest first. One call; more when few are starred. Raises InvalidRequest(after)."""
        if job_id is not None and not keys.is_job_id(job_id):
            return Page(items=())
        prefix = keys.IMAGE if job_id is None else f"{keys.IMAGE}{job_id}#"
        where, values = "attribute_not_exists(#erasing)", {}
        if favourites:
            where, values = f"{where} AND #favourite = :yes", {":yes": True}
        items, cursor = self._table.query(
            keys.user_pk(user.id),
            prefix,
            limit=limit,
            after=after,
            newest_first=job_id is None,
            where=where,
            values=values,
            look_through=FAVOURITES_LOOK_THROUGH if favourites else limit + 10,
        )
        return Page(items=tuple(_from_item(item) for item in items), next=cursor)

    def of_jobs(self, user: User, jobs: Sequence[Job]) -> dict[str, tuple[Image, ...]]:
        """The pictures of several of the user's jobs that are still there, by job id; one call for each hundred."""
        wanted = [
            (keys.user_pk(user.id), keys.image_sk(*parts))
            for job in jobs
            for image_id in job.image_ids
            if (parts := keys.split_image_id(image_id))
        ]
        items = self._table.get_many(wanted)
        found: dict[str, list[Image]] = {job.id: [] for job in jobs}
        for key in wanted:
            if (item := items.get(key)) and not item.get("erasing"):
                image = _from_item(item)
                found[image.job_id].append(image)
        return {job_id: tuple(images) for job_id, images in found.items()}

    def url(self, image: Image, *, download: bool = False) -> str:
        """A link to the full picture, good for an hour; no AWS call."""
        name = f"atelier-{image.model}-{image.seed}-{image.id}.png" if download else None
        return self._objects.link(image.key, download_as=name)

    def thumbnail_url(self, image: Image) -> str:
        """A link to the small picture (the full one while it has no thumbnail), good for an hour; no AWS call."""
        return self._objects.link(image.thumbnail_key or image.key)

    def star(self, user: User, image_id: str, favourite: bool) -> Image:
        """Marks or unmarks a favourite. Raises NotFound. Two calls."""
        image = self.get(user, image_id)
        return self._change(image, assign={"favourite": favourite})

    def delete(self, user: User, image_id: str) -> None:
        """Erases the picture with all its versions and its thumbnail. Raises NotFound.

        A tombstone says that it is meant; then the record is hidden, and removed last. So a crash in between shows no
        broken picture, the upkeep goes on with it, and nothing brings the picture back.
        """
        image = self.get(user, image_id)
        self._table.put(tombstone(image.user_id, image.job_id, image.n))
        self._change(
            image,
            assign={
                "erasing": True,
                "GSI1PK": keys.ERASING,
                "GSI1SK": f"{now().isoformat()}#{image.id}",
            },
        )
        self._finish_erasure(image)

    def _finish_erasure(self, image: Image) -> None:
        self.erase_objects(image.user_id, image.job_id, image.n)
        self._table.delete(keys.user_pk(image.user_id), keys.image_sk(image.job_id, image.n))

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
        """Erases one picture's objects with every version; returns how many keys went."""
        picture = keys.image_key(user_id, job_id, n)
        return self._objects.erase(picture) + self._objects.erase(keys.thumbnail_key(user_id, job_id, n))

    def discard(self, user_id: str, job_id: str) -> int:
        """Erases whatever lies under a job that has no pictures by record; returns how many keys went."""
        return self._objects.erase(keys.images_prefix(user_id, job_id))

    def discard_all(self, user_id: str) -> int:
        """Erases every picture object of a user; returns how many keys went. Records are the caller's."""
        return self._objects.erase(keys.images_prefix(user_id))

    def _change(self, image: Image, *, assign: dict[str, Any], remove: tuple[str, ...] = ()) -> Image:
        try:
            item = self._table.update(
                Update(
                    key=(keys.user_pk(image.user_id), keys.image_sk(image.job_id, image.n)),
                    assign=assign,
                    remove=remove,
                    condition="attribute_exists(PK) AND attribute_not_exists(#erasing)",
                )
            )
        except ConditionFailed as exc:
            # A lost response makes boto3 send the update again: then the state that was asked for stands.
            current = exc.current
            if current and all(current.get(name) == value for name, value in assign.items()):
                return _from_item(current)
            raise NotFound("There is no such picture.") from None
        return _from_item(item)


def tombstone(user_id: str, job_id: str, n: int | None = None) -> Item:
    """The mark that a job, or one picture of it, was erased on purpose; it holds nothing of either."""
    return {
        "PK": keys.user_pk(user_id),
        "SK": keys.tombstone_sk(job_id, n),
        "expires_at": int((now() + TOMBSTONE_KEPT).timestamp()),
    }


def parameters(job: Job, n: int, answer: Succeeded) -> PictureParameters:
    """What is written into the n-th picture of a job."""
    spec = job.spec
    return PictureParameters(
        prompt=spec.prompt,
        negative_prompt=spec.negative_prompt,
        steps=spec.steps,
        scheduler=spec.scheduler,
        guidance=spec.guidance,
        seed=answer.images[n].seed,
        width=spec.width,
        height=spec.height,
        model=spec.model,
        model_revision=answer.model.revision,
        job=job.id,
        image=keys.image_id(job.id, n),
        created_at=job.created_at,
        strength=spec.strength,
        image_sha256=spec.image_sha256,
        mask_sha256=spec.mask_sha256,
    )


def thumbnail(png: bytes) -> bytes:
    """A WebP that fits into 300 x 300 pixels; a smaller picture keeps its size. Raises OSError for a broken PNG."""
    with Pillow.open(io.BytesIO(png), formats=["PNG"]) as picture:
        small = picture.convert("RGB")
    small.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX), Pillow.Resampling.LANCZOS)
    target = io.BytesIO()
    small.save(target, "WEBP", quality=85, method=4)
    return target.getvalue()


def _to_item(image: Image) -> Item:
    item: Item = {
        "PK": keys.user_pk(image.user_id),
        "SK": keys.image_sk(image.job_id, image.n),
        "width": image.width,
        "height": image.height,
        "size_bytes": image.size_bytes,
        "sha256": image.sha256,
        "seed": image.seed,
        "model": image.model,
        "prompt": image.prompt,
        "favourite": image.favourite,
        "created_at": image.created_at.isoformat(),
    }
    if image.thumbnail_key:
        return item | {"thumbnail_key": image.thumbnail_key}
    return item | {"GSI1PK": keys.REPAIR, "GSI1SK": f"{now().isoformat()}#{image.id}"}


def _from_item(item: Item) -> Image:
    user_id = item["PK"].removeprefix("USER#")
    job_id, _, n = item["SK"].removeprefix(keys.IMAGE).partition("#")
    return Image(
        id=keys.image_id(job_id, int(n)),
        user_id=user_id,
        job_id=job_id,
        n=int(n),
        key=keys.image_key(user_id, job_id, int(n)),
        thumbnail_key=item.get("thumbnail_key"),
        width=item["width"],
        height=item["height"],
        size_bytes=item["size_bytes"],
        sha256=item["sha256"],
        seed=item["seed"],
        model=item["model"],
        prompt=item["prompt"],
        favourite=item["favourite"],
        created_at=datetime.fromisoformat(item["created_at"]),
    )
