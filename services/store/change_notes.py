"""Notes that pictures changed: written in the transaction of the change, and merged into the search index by the
worker.

A search reads the remaining notes first and the index second (`services/search/index.py`). A note is removed only after
its change is in the index, so a search misses nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from services.aws.table import Delete, Item, Put, Table
from services.clock import now
from services.store import keys
from services.store.writes import Write

# People make several changes in a row; this delay merges them together.
FOLD_AFTER = timedelta(seconds=20)
# Sorts before every time, so that words of erased pictures leave the index in the next pass.
AT_ONCE = "0"
DUE_BATCH = 300
DELETE_BATCH = 100


@dataclass(frozen=True)
class ChangeNote:
    """Names changed pictures; with `erased`, their words must leave the index."""

    id: str
    image_ids: tuple[str, ...]
    erased: bool


class ChangeNoteStore:
    """The notes of all users that are not yet merged."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def of(self, user_id: str) -> tuple[ChangeNote, ...]:
        """Returns the user's notes, strongly consistent. One AWS call for each 1,000."""
        return tuple(_note(item) for item in self._table.each(keys.user_pk(user_id), keys.CHANGED))

    def add(self, user_id: str, image_ids: Iterable[str], *, erased: bool = False) -> None:
        """Adds a note for a change that has been made. One AWS call."""
        self._table.put(_item(user_id, image_ids, erased=erased))

    def drop(self, user_id: str, notes: Sequence[ChangeNote]) -> None:
        """Removes notes whose changes are in the index. One AWS call for each hundred."""
        pk = keys.user_pk(user_id)
        deletes = [Delete(key=(pk, f"{keys.CHANGED}{note.id}"), label=note.id) for note in notes]
        for start in range(0, len(deletes), DELETE_BATCH):
            self._table.transact(deletes[start : start + DELETE_BATCH])

    def due_users(self) -> tuple[str, ...]:
        """Returns users whose notes are due, in batches of one AWS call; eventually consistent."""
        up_to = (now() - FOLD_AFTER).isoformat()
        due = self._table.index(keys.CHANGES, up_to=up_to, limit=DUE_BATCH)
        return tuple(dict.fromkeys(keys.user_of(item["PK"]) for item in due))


def change_note(user_id: str, image_ids: Iterable[str], *, erased: bool = False) -> Write:
    """Returns the note of a change to pictures, for the transaction that makes the change."""
    return Put(item=_item(user_id, image_ids, erased=erased), label="search")


def _item(user_id: str, image_ids: Iterable[str], *, erased: bool) -> Item:
    note = keys.new_id()
    item: Item = {
        "PK": keys.user_pk(user_id),
        "SK": f"{keys.CHANGED}{note}",
        "image_ids": list(image_ids),
        "GSI1PK": keys.CHANGES,
        "GSI1SK": f"{AT_ONCE if erased else now().isoformat()}#{note}",
    }
    return item | ({"erased": True} if erased else {})


def _note(item: Item) -> ChangeNote:
    return ChangeNote(
        item["SK"].removeprefix(keys.CHANGED), tuple(item["image_ids"]), bool(item.get("erased", False))
    )
