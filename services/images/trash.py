"""The trash: deleted pictures can be restored for 30 days, then they are erased.

A picture in the trash keeps its objects and its record, which is marked; a note lists it for its user and, through
the index, for the sweeper. One transaction writes both, so that neither exists alone.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from services.clock import now
from services.errors import NotFound, StudioError
from services.images import bulk_changes
from services.images.bulk_changes import BulkResult
from services.images.images import Images
from services.logs import event
from services.records import Image, Page, User
from services.store.change_notes import change_note
from services.store.image_changes import Erasable, trash_image, untrash_image
from services.store.images import ImageStore, Place
from services.store.transactions import Transactions
from services.store.trash import TrashNote, TrashStore, add_trash_note, drop_stale_trash_note, drop_trash_note

KEPT = timedelta(days=30)
EXPIRE_BATCH = 20


class Trash:
    """The deleted pictures of all users; another user's id or a malformed one counts as missing."""

    def __init__(
        self, notes: TrashStore, records: ImageStore, transactions: Transactions, images: Images
    ) -> None:
        self._notes = notes
        self._records = records
        self._transactions = transactions
        self._images = images

    def put_many(self, user: User, ids: Sequence[str]) -> BulkResult:
        """Moves up to 100 pictures into the trash; those already there keep their erasure date.

        Three AWS calls for 100 pictures, two more when some are refused. Raises InvalidRequest for more.
        """
        found, malformed = bulk_changes.places(user.id, ids)
        at = now()
        refused = self._transactions.run_each(
            {place.id: (trash_image(place, at), add_trash_note(place, at, at + KEPT)) for place in found},
            note=lambda group: change_note(user.id, group),
        )
        again = {place.id for place in self._records.trashed(each for each in found if each.id in refused)}
        moved = bulk_changes.result(ids, [*malformed, *(refused - again)])
        event("pictures_trashed", user=user.id, pictures=len(moved.done))
        return moved

    def restore_many(self, user: User, ids: Sequence[str]) -> BulkResult:
        """Restores up to 100 pictures; one that is visible and not in the trash counts as done.

        AWS calls as `put_many`. Raises InvalidRequest for more.
        """
        found, malformed = bulk_changes.places(user.id, ids)
        refused = self._transactions.run_each(
            {place.id: (untrash_image(place), drop_trash_note(place)) for place in found},
            note=lambda group: change_note(user.id, group),
        )
        doubtful = [place for place in found if place.id in refused]
        present = self._records.present(doubtful)
        missing = [place.id for place in doubtful if place not in present]
        return bulk_changes.result(ids, [*malformed, *missing])

    def list(self, user: User, *, limit: int = 60, after: str | None = None) -> Page[Image]:
        """Return the pictures in the user's trash, newest first. Two AWS calls. Raises InvalidRequest(after)."""
        notes, cursor = self._notes.page(user.id, limit=limit, after=after)
        found = self._records.trashed(note.place for note in notes)
        return Page(items=tuple(found.values()), next=cursor)

    def get(self, user: User, image_id: str) -> Image:
        """Return a picture in the user's trash. Raises NotFound for any other. One AWS call."""
        place = Place.find(user.id, image_id)
        image = self._records.trashed([place]).get(place) if place else None
        if image is None:
            raise NotFound("There is no such picture in the trash.")
        return image

    def erase_many(self, user: User, ids: Sequence[str]) -> BulkResult:
        """Permanently erases up to 100 pictures, only if they are in the trash. Raises InvalidRequest for more.

        One AWS call per 33 pictures, which hides them, and three per picture. The upkeep finishes what a failure
        leaves.
        """
        found, malformed = bulk_changes.places(user.id, ids)
        gone = {place.id for place in self._images.erase(found, which=Erasable(in_trash=True))}
        return bulk_changes.result(ids, [*malformed, *(place.id for place in found if place.id not in gone)])

    def empty(self, user: User) -> int:
        """Erases everything now in the trash, a hundred at a time; returns how many pictures. Safe to repeat."""
        erased = 0
        while True:
            notes, _ = self._notes.page(user.id, limit=bulk_changes.MOST_PICTURES)
            if not notes:
                return erased
            gone = self._images.erase([note.place for note in notes], which=Erasable(in_trash=True))
            erased += len(gone)
            self._drop_stale([note for note in notes if note.place not in gone])

    def expire(self) -> int:
        """Erases one batch of what has been in the trash for 30 days; returns how many. One AWS call if none.

        A failing picture is logged and retried next time.
        """
        done = 0
        for note in self._notes.due(now(), limit=EXPIRE_BATCH):
            place = note.place
            try:
                # The index may lag: skip what was restored, or moved into the trash again since.
                if self._images.erase([place], which=Erasable(trashed_at=note.trashed_at)):
                    done += 1
                    event("trash_expired", user=place.user_id, image=place.id)
                else:
                    self._drop_stale([note])
            except StudioError as exc:
                event("expiry_failed", level=logging.ERROR, exc=exc, user=place.user_id, image=place.id)
        return done

    def _drop_stale(self, notes: Sequence[TrashNote]) -> None:
        """Removes notes of pictures no longer in the trash, as a restored backup can leave them."""
        trashed = self._records.trashed(note.place for note in notes)
        self._transactions.run_each(
            {note.place.id: (drop_stale_trash_note(note),) for note in notes if note.place not in trashed}
        )


def until(image: Image) -> datetime:
    """Return when a picture in the trash will be erased. Raises ValueError for one that is not there."""
    if image.trashed_at is None:
        raise ValueError("the picture is not in the trash")
    return image.trashed_at + KEPT
