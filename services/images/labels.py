"""Changes lists of names on pictures (tags and albums), on many pictures at once and safe under concurrent changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from services.errors import Unavailable
from services.images import bulk_changes
from services.images.bulk_changes import BulkResult
from services.records import Image, User
from services.store.change_notes import change_note
from services.store.images import ImageStore, Place
from services.store.transactions import Transactions
from services.store.writes import Write

ROUNDS = 5


@dataclass(frozen=True)
class Label:
    """One kind of names: how to read them from a picture, change them, write them back, and how many fit.

    `write` builds the change from the previous names; it is refused if the names have changed since.
    """

    read: Callable[[Image], tuple[str, ...]]
    write: Callable[[Place, Sequence[str], Sequence[str]], Write]
    change: Callable[[Iterable[str]], set[str]]
    most: int


def relabel(
    images: ImageStore, transactions: Transactions, user: User, ids: Sequence[str], label: Label
) -> BulkResult:
    """Applies the label's change to the names of pictures; `full` lists those that would get too many.

    Two AWS calls per 99 pictures, and two more for each retry after a concurrent change. Raises Unavailable when
    retries run out, and InvalidRequest for too many pictures.
    """
    todo, malformed = bulk_changes.places(user.id, ids)
    missing, full = list(malformed), []
    for _ in range(ROUNDS):
        found = images.visible(todo)
        missing += [place.id for place in todo if place not in found]
        changes = {}
        for place, image in found.items():
            had = label.read(image)
            names = sorted(label.change(had))
            if len(names) > label.most:
                full.append(place.id)
            elif names != list(had):
                changes[place.id] = (label.write(place, had, names),)
        refused = transactions.run_each(changes, note=lambda group: change_note(user.id, group))
        todo = tuple(place for place in todo if place.id in refused)
        if not todo:
            left = bulk_changes.result(ids, [*missing, *full])
            return left.model_copy(
                update={
                    "missing": tuple(image_id for image_id in left.missing if image_id not in full),
                    "full": tuple(full),
                }
            )
    raise Unavailable("These pictures are being changed elsewhere. Try again.")
