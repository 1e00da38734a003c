"""The head of each user's search index: the record that names its current segments."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from services.aws.table import ConditionFailed, Item, Table, Update
from services.store import keys


@dataclass(frozen=True)
class Segment:
    """One object of the index: its key, its number of pictures, and the hash of its bytes."""

    key: str
    rows: int
    sha256: str


@dataclass(frozen=True)
class Head:
    """The state of the index. `version` only grows; `whole` is False if it must be rebuilt from the records."""

    version: int = 0
    segments: tuple[Segment, ...] = ()
    whole: bool = False


class SearchHeadStore:
    """The heads of all users' indexes. Each method is one AWS call."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def get(self, user_id: str) -> Head:
        """Returns the current state of the index, strongly consistent."""
        item = self._table.get(keys.user_pk(user_id), keys.SEARCH)
        if item is None:
            return Head()
        segments = tuple(Segment(**one) for one in json.loads(item["segments"]))
        return Head(version=item["version"], segments=segments, whole=item["whole"])

    def move(self, user_id: str, before: Head, after: Head, *, token: str) -> bool:
        """Writes the head if it has not changed since it was read.

        `token` is unique to the writer and identifies its own write after a lost answer. One more read if the write was
        refused.
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
