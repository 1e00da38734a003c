"""Lists of names on pictures, as tags and albums: changed on many pictures at once, whoever else changes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from services.aws.table import Table, Update
from services.errors import Unavailable
from services.images import bulk_changes
from services.images.bulk_changes import BulkResult
from services.records import User
from services.store.change_notes import change_note
from services.store.images import VISIBLE, Place, is_visible

ROUNDS = 5


def relabel(
    table: Table,
    user: User,
    ids: Sequence[str],
    attribute: str,
    change: Callable[[Iterable[str]], set[str]],
    *,
    most: int,
) -> BulkResult:
    """Gives pictures the names that `change` makes of those they have; `full` are those that would get over `most`.

    Two AWS calls for each 99 pictures, and two more for each time that a list was changed in between. Raises
    Unavailable when that goes on, and InvalidRequest for too many pictures.
    """
    todo, malformed = bulk_changes.places(user.id, ids)
    missing, full = list(malformed), []
    for _ in range(ROUNDS):
        items = table.get_many(place.key for place in todo)
        changes = {}
        for place in todo:
            item = items.get(place.key)
            if item is None or not is_visible(item):
                missing.append(place.id)
                continue
            had = list(item.get(attribute, ()))
            names = sorted(change(had))
            if len(names) > most:
                full.append(place.id)
            elif names != had:
                changes[place.id] = (_update(place, attribute, had, names),)
        refused = bulk_changes.apply(table, changes, note=lambda group: change_note(user.id, group))
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


def _update(place: Place, attribute: str, had: list[str], names: list[str]) -> Update:
    """The change of a picture's names, refused when they are no longer what was read."""
    unchanged = (
        f"#{attribute} = :had" if had else f"(attribute_not_exists(#{attribute}) OR #{attribute} = :had)"
    )
    return Update(
        key=place.key,
        label=place.id,
        assign={attribute: names},
        condition=f"{VISIBLE} AND {unchanged}",
        values={":had": had},
    )
