"""The writes that change a picture's record; each is refused if the picture is not in the expected state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.aws.table import Delete, Put, Update
from services.records import Image
from services.store import keys
from services.store.images import FAVORITE, NOT_ERASING, Place, image_to_item
from services.store.tombstones import tombstone_write
from services.store.trash import drop_trash_note
from services.store.writes import Write

VISIBLE = f"{NOT_ERASING} AND attribute_not_exists(#trashed_at)"
IN_TRASH = f"{NOT_ERASING} AND attribute_exists(#trashed_at)"
# A picture's record, and its note in the trash.
RECORDS_A_PICTURE = 2


@dataclass(frozen=True)
class Erasable:
    """Which pictures may be erased: all, those in the trash, or those trashed at an exact time."""

    in_trash: bool = False
    trashed_at: datetime | None = None

    def condition(self) -> tuple[str, Mapping[str, Any]]:
        """Returns the condition expression and its values."""
        if self.trashed_at is not None:
            return f"{IN_TRASH} AND #trashed_at = :since", {":since": self.trashed_at.isoformat()}
        return IN_TRASH if self.in_trash else NOT_ERASING, {}


def add_image(image: Image) -> Write:
    """Records a newly stored picture; refused if there is a record."""
    return Put(item=image_to_item(image), label="image", condition="attribute_not_exists(PK)")


def star_image(place: Place, favorite: bool) -> Write:
    """Adds or removes a visible picture's star."""
    return Update(key=place.key, label=place.id, assign={FAVORITE: favorite}, condition=VISIBLE)


def rate_image(place: Place, rating: int) -> Write:
    """Rates a visible picture."""
    return Update(key=place.key, label=place.id, assign={"rating": rating}, condition=VISIBLE)


def tag_image(place: Place, had: Sequence[str], tags: Sequence[str]) -> Write:
    """Replaces the tags of a visible picture; refused if they are no longer `had`."""
    return _relabel(place, "tags", had, tags)


def sort_image(place: Place, had: Sequence[str], albums: Sequence[str]) -> Write:
    """Replaces the albums of a visible picture; refused if they are no longer `had`."""
    return _relabel(place, "albums", had, albums)


def _relabel(place: Place, attribute: str, had: Sequence[str], names: Sequence[str]) -> Write:
    unchanged = (
        f"#{attribute} = :had" if had else f"(attribute_not_exists(#{attribute}) OR #{attribute} = :had)"
    )
    return Update(
        key=place.key,
        label=place.id,
        assign={attribute: list(names)},
        condition=f"{VISIBLE} AND {unchanged}",
        values={":had": list(had)},
    )


def trash_image(place: Place, at: datetime) -> Write:
    """Moves a visible picture to the trash; its note belongs in the same transaction."""
    return Update(key=place.key, label=place.id, assign={"trashed_at": at.isoformat()}, condition=VISIBLE)


def untrash_image(place: Place) -> Write:
    """Restores a picture from the trash; its note is removed in the same transaction."""
    return Update(key=place.key, label=place.id, remove=("trashed_at",), condition=IN_TRASH)


def begin_erasing_image(place: Place, since: datetime, which: Erasable) -> tuple[Write, ...]:
    """Hides a picture from everything but the upkeep, and marks it as erased on purpose; three writes.

    Refused for a picture that is not among `which`.
    """
    condition, values = which.condition()
    hide = Update(
        key=place.key,
        label=place.id,
        assign={
            "erasing": True,
            "GSI1PK": keys.ERASING,
            "GSI1SK": f"{since.isoformat()}#{place.id}",
        },
        condition=condition,
        values=values,
    )
    return hide, tombstone_write(place), drop_trash_note(place)


def remove_image(place: Place) -> tuple[Write, ...]:
    """Removes a picture's `RECORDS_A_PICTURE` records in any state."""
    return Delete(key=place.key, label=place.id), drop_trash_note(place)
