"""A person's records by kind, regardless of their content: used to erase everything."""

from __future__ import annotations

from services.aws.table import Table
from services.store import keys


class PersonRecords:
    """The partitions of all users."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def remove_all(self, user_id: str, kind: str) -> int:
        """Removes every record of a kind; returns their number. One AWS call for each 1,000, and one for each
        record.
        """
        items = list(self._table.each(keys.user_pk(user_id), kind))
        for item in items:
            self._table.delete(item["PK"], item["SK"])
        return len(items)

    def has(self, user_id: str, kind: str) -> bool:
        """Whether there is a record of that kind, strongly consistent. One AWS call."""
        return bool(self._table.query(keys.user_pk(user_id), kind, limit=1, consistent=True)[0])
