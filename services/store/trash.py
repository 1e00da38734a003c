"""Notes that pictures are in the trash: they list them for their user and, by the index, for the sweeper."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from services.aws.table import Delete, Item, Put, Table
from services.store import keys
from services.store.images import Place
from services.store.writes import Write


@dataclass(frozen=True)
class TrashNote:
    """That the picture at `place` was moved into the trash at `trashed_at`."""

    place: Place
    trashed_at: datetime


class TrashStore:
    """The notes of all users. Each method is one AWS call."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def page(
        self, user_id: str, *, limit: int, after: str | None = None
    ) -> tuple[tuple[TrashNote, ...], str | None]:
        """The user's notes, newest picture first, strongly consistent; and the cursor of the rest.

        Raises InvalidRequest(after).
        """
        items, cursor = self._table.query(
            keys.user_pk(user_id), keys.TRASH, limit=limit, after=after, consistent=True
        )
        return tuple(_note(item) for item in items), cursor

    def due(self, at: datetime, *, limit: int) -> tuple[TrashNote, ...]:
        """Notes whose time is over at that moment, the oldest first; eventually consistent."""
        items = self._table.index(keys.TRASHED, up_to=at.isoformat(), limit=limit)
        return tuple(_note(item) for item in items)


def add_trash_note(place: Place, at: datetime, until: datetime) -> Write:
    """Notes that a picture is in the trash, over an earlier note; it is due when `until` has come."""
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
    """Removes a picture's note, whatever it says."""
    return Delete(key=place.trash_key, label=place.id)


def drop_stale_trash_note(note: TrashNote) -> Write:
    """Removes this very note, refused when the picture was moved into the trash again since."""
    return Delete(
        key=note.place.trash_key,
        label=note.place.id,
        condition="#trashed_at = :since",
        values={":since": note.trashed_at.isoformat()},
    )


def _note(item: Item) -> TrashNote:
    return TrashNote(Place.of(item), datetime.fromisoformat(item["trashed_at"]))
