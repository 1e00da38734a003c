"""The same change to many pictures: checked ids, few transactions, and what could not be done."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from services.aws.table import Delete, Put, Table, TransactionRefused, Update
from services.errors import InvalidRequest
from services.records import Record
from services.sentences import sentence
from services.store.images import Place

MOST_PICTURES = 100
MOST_WRITES = 100


class BulkResult(Record):
    """What became of a change to several pictures: ids `done`, `missing` (there are no such pictures), and those that
    are `full`, with no place for another tag or album."""

    done: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    full: tuple[str, ...] = ()


def places(user_id: str, ids: Sequence[str]) -> tuple[tuple[Place, ...], tuple[str, ...]]:
    """The places of the user's pictures of those ids, each once, and the ids that are malformed.

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


def apply(
    table: Table,
    changes: Mapping[str, Sequence[Put | Update | Delete]],
    *,
    note: Callable[[Sequence[str]], Put] | None = None,
) -> frozenset[str]:
    """Makes each id's writes together or not at all; returns the ids whose condition did not hold.

    Every write carries its id as the label; `note` makes one more for the ids of a transaction. One AWS call for each
    hundred writes, and one more for each time that some are refused: the others of that call go again without them.
    """
    refused: set[str] = set()
    most = MOST_WRITES - (note is not None)
    size = most // max((len(writes) for writes in changes.values()), default=1)
    ids = list(changes)
    for start in range(0, len(ids), size):
        group = ids[start : start + size]
        while group:
            try:
                writes = [write for image_id in group for write in changes[image_id]]
                table.transact([*writes, note(group)] if note else writes)
                break
            except TransactionRefused as exc:
                if not exc.failed.intersection(group):
                    raise
                refused |= exc.failed
                group = [image_id for image_id in group if image_id not in exc.failed]
    return frozenset(refused)


def result(ids: Sequence[str], missing: Sequence[str]) -> BulkResult:
    """What became of `ids`, in their order, when `missing` could not be changed."""
    wanted, left = tuple(dict.fromkeys(ids)), set(missing)
    return BulkResult(
        done=tuple(image_id for image_id in wanted if image_id not in left),
        missing=tuple(image_id for image_id in wanted if image_id in left),
    )
