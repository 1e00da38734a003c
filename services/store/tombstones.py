"""Marks that a job or one of its pictures was erased on purpose; they contain no data of it, and expire."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta

from services.aws.table import Item, Put, Table
from services.clock import now
from services.store import keys
from services.store.images import Place
from services.store.writes import Write

# Late output and restored backups arrive within this time, if at all.
TOMBSTONE_KEPT = timedelta(days=400)


@dataclass(frozen=True)
class Traces:
    """Which of several pictures have a record, visible or not, and which were erased on purpose."""

    recorded: Collection[Place]
    erased: Collection[Place]


class Tombstones:
    """The tombstones of all users."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def put(self, user_id: str, job_id: str) -> None:
        """Marks a job with all its pictures as erased. One AWS call."""
        self._table.put(_item(user_id, job_id))

    def traces(self, places: Sequence[Place]) -> Traces:
        """Returns what the table holds about pictures. Three AWS calls for each hundred."""
        found = self._table.get_many(key for place in places for key in (place.key, *_marks(place)))
        return Traces(
            recorded={place for place in places if place.key in found},
            erased={place for place in places if any(key in found for key in _marks(place))},
        )


def tombstone_write(place: Place) -> Write:
    """Returns the write that marks one picture as erased."""
    return Put(item=_item(place.user_id, place.job_id, place.n), label=place.id)


def _marks(place: Place) -> tuple[tuple[str, str], tuple[str, str]]:
    pk = keys.user_pk(place.user_id)
    return (pk, keys.tombstone_sk(place.job_id)), (pk, keys.tombstone_sk(place.job_id, place.n))


def _item(user_id: str, job_id: str, n: int | None = None) -> Item:
    return {
        "PK": keys.user_pk(user_id),
        "SK": keys.tombstone_sk(job_id, n),
        "expires_at": int((now() + TOMBSTONE_KEPT).timestamp()),
    }
