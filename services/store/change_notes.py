"""Notes that pictures changed: written in one transaction with the change, folded into the search index by the worker.

A search reads the notes that are left and then the index (`search_index`), in this order: a note goes only after what
it tells of is in the index, so that nothing falls in between.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from services.aws.table import Delete, Item, Put, Table
from services.clock import now
from services.store import keys

# A maker changes several things in a row: they are folded together.
FOLD_AFTER = timedelta(seconds=20)
# Sorts before every time: words of erased pictures leave the index with the next pass.
AT_ONCE = "0"
DUE_BATCH = 300
DELETE_BATCH = 100


@dataclass(frozen=True)
class ChangeNote:
    """That something about these pictures changed; `erased` when their words must leave the index for good."""

    id: str
    image_ids: tuple[str, ...]
    erased: bool

    @classmethod
    def of(cls, item: Item) -> ChangeNote:
        return cls(
            item["SK"].removeprefix(keys.CHANGED), tuple(item["image_ids"]), bool(item.get("erased", False))
        )


def change_note(
    user_id: str, image_ids: Iterable[str], *, label: str = "search", erased: bool = False
) -> Put:
    """The write that tells of a change to pictures; it belongs into the transaction that changes them."""
    note = keys.new_id()
    item: Item = {
        "PK": keys.user_pk(user_id),
        "SK": f"{keys.CHANGED}{note}",
        "image_ids": list(image_ids),
        "GSI1PK": keys.CHANGES,
        "GSI1SK": f"{AT_ONCE if erased else now().isoformat()}#{note}",
    }
    return Put(item=item | ({"erased": True} if erased else {}), label=label)


def notes_of(table: Table, user_id: str) -> tuple[ChangeNote, ...]:
    """The user's notes that are not folded in yet, strongly consistent. One AWS call for each 1,000."""
    return tuple(ChangeNote.of(item) for item in table.each(keys.user_pk(user_id), keys.CHANGED))


def drop(table: Table, user_id: str, notes: Sequence[ChangeNote]) -> None:
    """Removes notes whose changes are in the index. One AWS call for each hundred."""
    pk = keys.user_pk(user_id)
    deletes = [Delete(key=(pk, f"{keys.CHANGED}{note.id}"), label=note.id) for note in notes]
    for start in range(0, len(deletes), DELETE_BATCH):
        table.transact(deletes[start : start + DELETE_BATCH])


def users_with_due_notes(table: Table) -> tuple[str, ...]:
    """Whose index is to be folded now, a batch a call; eventually consistent. One AWS call."""
    up_to = (now() - FOLD_AFTER).isoformat()
    due = table.index(keys.CHANGES, up_to=up_to, limit=DUE_BATCH)
    return tuple(dict.fromkeys(item["PK"].removeprefix("USER#") for item in due))
