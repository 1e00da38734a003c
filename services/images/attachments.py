"""What hangs on a picture besides its own record (shares, re-runs), and how it goes when the picture goes."""

from __future__ import annotations

from dataclasses import dataclass

from services.aws.objects import Objects
from services.aws.table import Item, Table
from services.store import keys


@dataclass(frozen=True)
class Erased:
    """How many shares and objects went."""

    shares: int = 0
    objects: int = 0


class Attachments:
    """Erases what hangs on pictures; the pictures themselves are others' business."""

    def __init__(self, table: Table, objects: Objects) -> None:
        self._table = table
        self._objects = objects

    def erase(self, user_id: str, prefix: str = keys.ATTACHED) -> Erased:
        """Erases everything under a sort key prefix: all of a user's, a job's, or a picture's. Safe to repeat.

        One AWS call when there is nothing.
        """
        shares = objects = 0
        for item in list(self._table.each(keys.user_pk(user_id), prefix)):
            objects += self.erase_item(item)
            shares += is_share(item)
        return Erased(shares=shares, objects=objects)

    def erase_item(self, item: Item) -> int:
        """Erases one: a share's link first, so that nobody is led to what is going; then its copy, last its record.

        Returns how many objects went.
        """
        objects = 0
        if is_share(item):
            self._table.delete(*link_key(item))
            objects = self._objects.erase(copy_key(item))
        self._table.delete(item["PK"], item["SK"])
        return objects


def is_share(item: Item) -> bool:
    """True for a share's record, False for a re-run's."""
    return "copy" in item


def link_key(item: Item) -> tuple[str, str]:
    """Where the token of a share leads to."""
    return item["link"], "SHARE"


def copy_key(item: Item) -> str:
    """Where the picture lies that a share shows."""
    return keys.shared_copy_key(item["copy"])
