"""The head of each user's search index: the record that names the segments that count."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from services.aws.table import ConditionFailed, Item, Table, Update
from services.store import keys


@dataclass(frozen=True)
class Segment:
    """One object of the index: its key, how many pictures it speaks of, and the hash of its bytes."""

    key: str
    rows: int
    sha256: str


@dataclass(frozen=True)
class Head:
    """What the index is. `version` only grows; `whole` is False when it must be rebuilt from the records."""

    version: int = 0
    segments: tuple[Segment, ...] = ()
    whole: bool = False


class SearchHeadStore:
    """The heads of all users' indexes. Each method is one AWS call."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def get(self, user_id: str) -> Head:
        """What the index is now, strongly consistent."""
        item = self._table.get(keys.user_pk(user_id), keys.SEARCH)
        if item is None:
            return Head()
        segments = tuple(Segment(**one) for one in json.loads(item["segments"]))
        return Head(version=item["version"], segments=segments, whole=item["whole"])

    def move(self, user_id: str, before: Head, after: Head, *, token: str) -> bool:
        """Writes the head if it still is what was read; a lost answer to our own write is no refusal.

        `token` is the writer's own. A read more when the write was refused.
        """
        change = Update(
            key=(keys.user_pk(user_id), keys.SEARCH),
            assign={
                "version": after.version,
                "segments": json.dumps([asdict(one) for one in after.segments]),
                "whole": after.whole,
                "token": token,
            },
            condition="#version = :before" if before.version else "attribute_not_exists(#version)",
            values={":before": before.version} if before.version else {},
        )
        try:
            self._table.update(change)
        except ConditionFailed as exc:
            current: Item = exc.current or {}
            return current.get("token") == token
        return True
