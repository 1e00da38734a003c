"""Pictures as items: where their records are, their form, and when they are visible.

Changes to a picture's record are in `image_changes`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.aws.table import ConditionFailed, Item, Table, Update
from services.clock import now
from services.records import Image, Page
from services.store import keys

# A record that is being erased is hidden first and removed last; one in the trash can come back.
NOT_ERASING = "attribute_exists(PK) AND attribute_not_exists(#erasing)"
# The table keeps these older spellings.
FAVORITE = "favourite"
COLOR = "colour"
# Marks are rare, so each call searches this many pictures for marked ones (half a megabyte).
MARKED_LOOK_THROUGH = 1000


@dataclass(frozen=True)
class Place:
    """The location of the record of a job's n-th picture, which may not exist."""

    user_id: str
    job_id: str
    n: int

    @classmethod
    def find(cls, user_id: str, image_id: str) -> Place | None:
        """Returns the place of the user's picture with that id; None if the id is malformed."""
        parts = keys.split_image_id(image_id)
        return cls(user_id, *parts) if parts else None

    @classmethod
    def of(cls, item: Item) -> Place:
        """Returns the place in a picture's item or trash note."""
        job_id, _, n = item["SK"].removeprefix(keys.IMAGE).removeprefix(keys.TRASH).partition("#")
        return cls(keys.user_of(item["PK"]), job_id, int(n))

    @classmethod
    def of_image(cls, image: Image) -> Place:
        """Returns the place of the picture's record."""
        return cls(image.user_id, image.job_id, image.n)

    @property
    def id(self) -> str:
        return keys.image_id(self.job_id, self.n)

    @property
    def key(self) -> tuple[str, str]:
        """The key of the picture's item."""
        return keys.user_pk(self.user_id), keys.image_sk(self.job_id, self.n)

    @property
    def trash_key(self) -> tuple[str, str]:
        """The key of its note in the trash."""
        return keys.user_pk(self.user_id), keys.trash_sk(self.job_id, self.n)


class ImageStore:
    """The picture records. Methods for several pictures return the existing ones, with one AWS call for each
    hundred.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    def find(self, place: Place) -> Image | None:
        """Returns the picture, strongly consistent; None if it is not visible. One AWS call."""
        item = self._table.get(*place.key)
        return image_from_item(item) if item and is_visible(item) else None

    def visible(self, places: Iterable[Place]) -> dict[Place, Image]:
        """Returns the pictures that are neither in the trash nor being erased."""
        return {place: image for place, image in self.present(places).items() if image.trashed_at is None}

    def trashed(self, places: Iterable[Place]) -> dict[Place, Image]:
        """Returns the pictures that are in the trash and can be restored."""
        return {place: image for place, image in self.present(places).items() if image.trashed_at}

    def present(self, places: Iterable[Place]) -> dict[Place, Image]:
        """Returns the pictures that are not being erased, in the trash or not, in the order of `places`."""
        wanted = list(dict.fromkeys(places))
        items = self._table.get_many(place.key for place in wanted)
        return {
            place: image_from_item(item)
            for place in wanted
            if (item := items.get(place.key)) and not item.get("erasing")
        }

    def page(
        self,
        user_id: str,
        *,
        limit: int,
        after: str | None,
        favorites: bool = False,
        job_id: str | None = None,
    ) -> Page[Image]:
        """Returns visible pictures, newest first, or those of a job by number; strongly consistent.

        One AWS call; more if few are starred, or many of the newest are in the trash. Raises InvalidRequest(after).
        """
        conditions = ["attribute_not_exists(#erasing)", "attribute_not_exists(#trashed_at)"]
        values: dict[str, Any] = {}
        if favorites:
            conditions.append(f"#{FAVORITE} = :yes")
            values[":yes"] = True
        items, cursor = self._table.query(
            keys.user_pk(user_id),
            keys.IMAGE if job_id is None else f"{keys.IMAGE}{job_id}#",
            limit=limit,
            after=after,
            newest_first=job_id is None,
            where=" AND ".join(conditions),
            values=values,
            look_through=MARKED_LOOK_THROUGH if values else limit + 10,
            # Strongly consistent: people check a picture right after they delete or star it.
            consistent=True,
        )
        return Page(items=tuple(image_from_item(item) for item in items), next=cursor)

    def every(self, user_id: str) -> Iterator[Image]:
        """Returns all visible pictures, strongly consistent; one AWS call for each 1,000."""
        for item in self._table.each(keys.user_pk(user_id), keys.IMAGE):
            if is_visible(item):
                yield image_from_item(item)

    def of_job(self, user_id: str, job_id: str) -> tuple[Place, ...]:
        """Returns the places of all records of a job's pictures, visible or not. One AWS call."""
        items = self._table.each(keys.user_pk(user_id), f"{keys.IMAGE}{job_id}#")
        return tuple(Place.of(item) for item in items)

    def without_thumbnail(self, limit: int) -> tuple[Place, ...]:
        """Returns pictures without a thumbnail, oldest first; eventually consistent. One AWS call."""
        return tuple(Place.of(item) for item in self._table.index(keys.REPAIR, limit=limit))

    def half_erased(self, since: datetime, limit: int) -> tuple[Place, ...]:
        """Returns pictures whose erasure began before `since` and did not finish; eventually consistent. One AWS
        call.
        """
        items = self._table.index(keys.ERASING, up_to=since.isoformat(), limit=limit)
        return tuple(Place.of(item) for item in items)

    def set_thumbnail(self, place: Place, key: str, color: str) -> bool:
        """Records a thumbnail and the picture's color; returns False if the picture was erased. One AWS call."""
        change = Update(
            key=place.key,
            assign={"thumbnail_key": key, COLOR: color},
            remove=("GSI1PK", "GSI1SK"),
            condition=NOT_ERASING,
        )
        try:
            self._table.update(change)
        except ConditionFailed:
            return False
        return True

    def remove(self, place: Place) -> None:
        """Removes the record; no error if it is gone. One AWS call."""
        self._table.delete(*place.key)


def find_places(user_id: str, ids: Sequence[str]) -> tuple[Place, ...]:
    """Returns the places of the user's pictures with those ids; malformed ids have none."""
    return tuple(place for image_id in ids if (place := Place.find(user_id, image_id)))


def is_visible(item: Item | None) -> bool:
    """Whether the picture exists and is neither in the trash nor being erased."""
    return item is not None and not item.get("erasing") and not item.get("trashed_at")


def image_to_item(image: Image) -> Item:
    """Returns the item of a newly stored picture; without a thumbnail, the upkeep will make one."""
    pk, sk = Place(image.user_id, image.job_id, image.n).key
    item: Item = {
        "PK": pk,
        "SK": sk,
        "width": image.width,
        "height": image.height,
        "size_bytes": image.size_bytes,
        "sha256": image.sha256,
        "seed": image.seed,
        "model": image.model,
        "prompt": image.prompt,
        FAVORITE: image.favorite,
        COLOR: image.color,
        "created_at": image.created_at.isoformat(),
    }
    if image.thumbnail_key:
        return item | {"thumbnail_key": image.thumbnail_key}
    return item | {"GSI1PK": keys.REPAIR, "GSI1SK": f"{now().isoformat()}#{image.id}"}


def image_from_item(item: Item) -> Image:
    """Returns the picture in an item."""
    place = Place.of(item)
    return Image(
        id=place.id,
        user_id=place.user_id,
        job_id=place.job_id,
        n=place.n,
        key=keys.image_key(place.user_id, place.job_id, place.n),
        thumbnail_key=item.get("thumbnail_key"),
        width=item["width"],
        height=item["height"],
        size_bytes=item["size_bytes"],
        sha256=item["sha256"],
        seed=item["seed"],
        model=item["model"],
        prompt=item["prompt"],
        favorite=item[FAVORITE],
        rating=item.get("rating", 0),
        tags=tuple(item.get("tags", ())),
        albums=tuple(item.get("albums", ())),
        color=item.get(COLOR),
        created_at=datetime.fromisoformat(item["created_at"]),
        trashed_at=datetime.fromisoformat(item["trashed_at"]) if item.get("trashed_at") else None,
    )
