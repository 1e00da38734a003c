"""How a picture lies in the table: its place, its item, and what makes it visible."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from services.aws.table import Item
from services.clock import now
from services.records import Image
from services.store import keys

# A record that is being erased is hidden first and removed last; one in the trash can come back.
NOT_ERASING = "attribute_exists(PK) AND attribute_not_exists(#erasing)"
# The table's names for these, older than the spelling that the code holds to.
FAVORITE = "favourite"
COLOR = "colour"
VISIBLE = f"{NOT_ERASING} AND attribute_not_exists(#trashed_at)"


@dataclass(frozen=True)
class Place:
    """Where the n-th picture of a job is recorded, whether or not it is there."""

    user_id: str
    job_id: str
    n: int

    @classmethod
    def find(cls, user_id: str, image_id: str) -> Place | None:
        """The place of the user's picture of that id; None when the id is malformed."""
        parts = keys.split_image_id(image_id)
        return cls(user_id, *parts) if parts else None

    @classmethod
    def of(cls, item: Item) -> Place:
        """The place that a picture's item, or its note in the trash, speaks of."""
        job_id, _, n = item["SK"].removeprefix(keys.IMAGE).removeprefix(keys.TRASH).partition("#")
        return cls(item["PK"].removeprefix("USER#"), job_id, int(n))

    @property
    def id(self) -> str:
        return keys.image_id(self.job_id, self.n)

    @property
    def key(self) -> tuple[str, str]:
        """Of the picture's item."""
        return keys.user_pk(self.user_id), keys.image_sk(self.job_id, self.n)

    @property
    def trash_key(self) -> tuple[str, str]:
        """Of the note that it is in the trash."""
        return keys.user_pk(self.user_id), keys.trash_sk(self.job_id, self.n)


def is_visible(item: Item | None) -> bool:
    """True for a picture that is there, and neither in the trash nor being erased."""
    return item is not None and not item.get("erasing") and not item.get("trashed_at")


def image_to_item(image: Image) -> Item:
    """The item of a picture that was just stored; without a thumbnail it asks the upkeep for one."""
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
    """The picture an item tells of."""
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
