"""Notes of trashed pictures: they list them for their user and, in the index, for the sweeper."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from services.aws.table import Delete, Item, Put, Table
from services.store import keys
from services.store.images import Place
from services.store.writes import Write


@dataclass(frozen=True)
class TrashNote:
    """Records that the picture at `place` was moved to the trash at `trashed_at`."""

    place: Place
    trashed_at: datetime


class TrashStore:
    """The notes of all users. Each method is one AWS call."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def page(
        self, user_id: str, *, limit: int, after: str | None = None
    ) -> tuple[tuple[TrashNote, ...], str | None]:
        """Returns the user's notes, newest picture first, and the cursor of the next page; strongly consistent.

        Raises InvalidRequest(after).
        """
        items, cursor = self._table.query(
            keys.user_pk(user_id), keys.TRASH, limit=limit, after=after, consistent=True
        )
        return tuple(_note(item) for item in items), cursor

    def due(self, at: datetime, *, limit: int) -> tuple[TrashNote, ...]:
        """Returns expired notes, oldest first; eventually consistent."""
        items = self._table.index(keys.TRASHED, up_to=at.isoformat(), limit=limit)
        return tuple(_note(item) for item in items)


def add_trash_note(place: Place, at: datetime, until: datetime) -> Write:
    """Returns the write that notes a trashed picture, replacing an earlier note; due at `until`."""
    pk, sk = place.trash_key
    item: Item = {
        "PK": pk,
        "SK": sk,
        "trashed_at": at.isoformat(),
        "GSI1PK": keys.TRASHED,
        "GSI1SK": f"{until.isoformat()}#{place.id}",
    }
    return Put(item=item, label=place.id)


def drop_trash_note(place: Place) -> Write:
    """Returns the write that removes a picture's note in any state."""
    return Delete(key=place.trash_key, label=place.id)


def drop_stale_trash_note(note: TrashNote) -> Write:
    """Returns the write that removes this note; refused if the picture was trashed again since."""
    return Delete(
        key=note.place.trash_key,
        label=note.place.id,
        condition="#trashed_at = :since",
        values={":since": note.trashed_at.isoformat()},
    )


def _note(item: Item) -> TrashNote:
    return TrashNote(Place.of(item), datetime.fromisoformat(item["trashed_at"]))
