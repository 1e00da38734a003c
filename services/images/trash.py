"""The trash: deleted pictures can come back for 30 days, then they are erased.

A picture in the trash keeps its record, marked, and its objects; a note beside it lists it for its user and, by the
index, for the sweeper. Both are written in one transaction, so that neither is ever there alone.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from services.aws.table import Delete, Item, Put, Table, Update
from services.clock import now
from services.errors import NotFound, StudioError
from services.images import bulk_changes
from services.images.bulk_changes import BulkResult
from services.images.images import Images
from services.logs import event
from services.records import Image, Page, User
from services.store import keys
from services.store.change_notes import change_note
from services.store.images import NOT_ERASING, VISIBLE, Place, image_from_item

KEPT = timedelta(days=30)
EXPIRE_BATCH = 20
IN_TRASH = f"{NOT_ERASING} AND attribute_exists(#trashed_at)"


class Trash:
    """The deleted pictures of all users; a foreign or malformed id counts as missing."""

    def __init__(self, table: Table, images: Images) -> None:
        self._table = table
        self._images = images

    def put_many(self, user: User, ids: Sequence[str]) -> BulkResult:
        """Moves up to 100 pictures into the trash; those that are there already stay as long as they were to stay.

        Three AWS calls for 100 pictures, two more when some are refused. Raises InvalidRequest for more.
        """
        found, malformed = bulk_changes.places(user.id, ids)
        at = now()
        refused = bulk_changes.apply(
            self._table,
            {
                place.id: (
                    Update(
                        key=place.key,
                        label=place.id,
                        assign={"trashed_at": at.isoformat()},
                        condition=VISIBLE,
                    ),
                    Put(item=_note(place, at), label=place.id),
                )
                for place in found
            },
            note=lambda group: change_note(user.id, group),
        )
        again = self._in_trash([place for place in found if place.id in refused])
        moved = bulk_changes.result(ids, [*malformed, *(refused - again.keys())])
        event("pictures_trashed", user=user.id, pictures=len(moved.done))
        return moved

    def restore_many(self, user: User, ids: Sequence[str]) -> BulkResult:
        """Brings up to 100 pictures back; one that is no longer in the trash and visible counts as done.

        Calls as `put_many`. Raises InvalidRequest for more.
        """
        found, malformed = bulk_changes.places(user.id, ids)
        refused = bulk_changes.apply(
            self._table,
            {
                place.id: (
                    Update(key=place.key, label=place.id, remove=("trashed_at",), condition=IN_TRASH),
                    Delete(key=place.trash_key, label=place.id),
                )
                for place in found
            },
            note=lambda group: change_note(user.id, group),
        )
        doubtful = [place for place in found if place.id in refused]
        items = self._table.get_many(place.key for place in doubtful)
        missing = [
            place.id for place in doubtful if (item := items.get(place.key)) is None or item.get("erasing")
        ]
        return bulk_changes.result(ids, [*malformed, *missing])

    def list(self, user: User, *, limit: int = 60, after: str | None = None) -> Page[Image]:
        """What is in the user's trash, newest picture first. Two AWS calls. Raises InvalidRequest(after)."""
        notes, cursor = self._table.query(
            keys.user_pk(user.id), keys.TRASH, limit=limit, after=after, consistent=True
        )
        found = self._in_trash([Place.of(note) for note in notes])
        return Page(items=tuple(found.values()), next=cursor)

    def get(self, user: User, image_id: str) -> Image:
        """A picture in the user's trash. Raises NotFound for any other. One AWS call."""
        place = Place.find(user.id, image_id)
        found = self._in_trash([place]) if place else {}
        if not found:
            raise NotFound("There is no such picture in the trash.")
        return found[image_id]

    def erase_many(self, user: User, ids: Sequence[str]) -> BulkResult:
        """Erases up to 100 pictures of the trash for good, and no others. Raises InvalidRequest for more.

        One AWS call for each 33 pictures, which hides them, and three for each picture. What a failure leaves is
        erased by the upkeep.
        """
        found, malformed = bulk_changes.places(user.id, ids)
        gone = {place.id for place in self._images.erase(found, condition=IN_TRASH)}
        return bulk_changes.result(ids, [*malformed, *(place.id for place in found if place.id not in gone)])

    def empty(self, user: User) -> int:
        """Erases all that is in the trash now, hundred by hundred; returns how many pictures. Safe to ask again."""
        erased = 0
        while True:
            notes, _ = self._table.query(
                keys.user_pk(user.id), keys.TRASH, limit=bulk_changes.MOST_PICTURES, consistent=True
            )
            if not notes:
                return erased
            gone = self._images.erase([Place.of(note) for note in notes], condition=IN_TRASH)
            erased += len(gone)
            self._drop_stale([note for note in notes if Place.of(note) not in gone])

    def expire(self) -> int:
        """Erases what has been in the trash for 30 days, a batch a call; returns how many. One AWS call for none.

        A picture that makes trouble is logged and left for the next time.
        """
        done = 0
        for note in self._table.index(keys.TRASHED, up_to=now().isoformat(), limit=EXPIRE_BATCH):
            place = Place.of(note)
            try:
                # The index may be behind: what was restored, or deleted anew since, is not meant.
                same = f"{IN_TRASH} AND #trashed_at = :since"
                if self._images.erase([place], condition=same, values={":since": note["trashed_at"]}):
                    done += 1
                    event("trash_expired", user=place.user_id, image=place.id)
                else:
                    self._drop_stale([note])
            except StudioError as exc:
                event("expiry_failed", level=logging.ERROR, exc=exc, user=place.user_id, image=place.id)
        return done

    def _drop_stale(self, notes: Sequence[Item]) -> None:
        """Removes notes of pictures that are no longer in the trash, as a restored backup can leave them."""
        places = [Place.of(note) for note in notes]
        trashed = self._in_trash(places)
        bulk_changes.apply(
            self._table,
            {
                place.id: (
                    Delete(
                        key=place.trash_key,
                        label=place.id,
                        condition="#trashed_at = :since",
                        values={":since": note["trashed_at"]},
                    ),
                )
                for place, note in zip(places, notes, strict=True)
                if place.id not in trashed
            },
        )

    def _in_trash(self, places: Sequence[Place]) -> dict[str, Image]:
        items = self._table.get_many(place.key for place in places)
        return {
            place.id: image_from_item(item)
            for place in places
            if (item := items.get(place.key)) and item.get("trashed_at") and not item.get("erasing")
        }


def until(image: Image) -> datetime:
    """When a picture in the trash is erased. Raises ValueError for one that is not there."""
    if image.trashed_at is None:
        raise ValueError("the picture is not in the trash")
    return image.trashed_at + KEPT


def _note(place: Place, at: datetime) -> Item:
    pk, sk = place.trash_key
    return {
        "PK": pk,
        "SK": sk,
        "trashed_at": at.isoformat(),
        "GSI1PK": keys.TRASHED,
        "GSI1SK": f"{(at + KEPT).isoformat()}#{place.id}",
    }
