"""Shared code for one change to many pictures: id validation and results."""

from __future__ import annotations

from collections.abc import Sequence

from services.errors import InvalidRequest
from services.records import Record
from services.sentences import sentence
from services.store.images import Place

MOST_PICTURES = 100


class BulkResult(Record):
    """The result of a change to several pictures: ids `done`, `missing` (no such pictures), and `full` (no room for
    another tag or album)."""

    done: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    full: tuple[str, ...] = ()


def places(user_id: str, ids: Sequence[str]) -> tuple[tuple[Place, ...], tuple[str, ...]]:
    """Return the places of the user's pictures with those ids, without duplicates, and the malformed ids.

    Raises InvalidRequest for more than `MOST_PICTURES`.
    """
    wanted = tuple(dict.fromkeys(ids))
    if len(wanted) > MOST_PICTURES:
        raise InvalidRequest(
            sentence(
                "{count} pictures are too many at once; choose {most} at most.",
                count=len(wanted),
                most=MOST_PICTURES,
            ),
            param="ids",
        )
    found = {image_id: Place.find(user_id, image_id) for image_id in wanted}
    malformed = tuple(image_id for image_id, place in found.items() if place is None)
    return tuple(place for place in found.values() if place is not None), malformed


def result(ids: Sequence[str], missing: Sequence[str]) -> BulkResult:
    """Return the result for `ids`, in their order, when `missing` could not be changed."""
    wanted, left = tuple(dict.fromkeys(ids)), set(missing)
    return BulkResult(
        done=tuple(image_id for image_id in wanted if image_id not in left),
        missing=tuple(image_id for image_id in wanted if image_id in left),
    )
