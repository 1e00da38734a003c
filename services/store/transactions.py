"""The only place that runs writes of several stores in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from services.aws.table import Table
from services.store.writes import TransactionRefused, Write

MOST_WRITES = 100


class Transactions:
    """Runs the writes that the stores return."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def run(self, writes: Sequence[Write]) -> None:
        """Runs all of the writes or none. One AWS call.

        Raises TransactionRefused, which after a lost answer can mean that an earlier try succeeded, and Unavailable if
        other writers keep changing the same records.
        """
        self._table.transact(writes)

    def run_each(
        self,
        changes: Mapping[str, Sequence[Write]],
        *,
        note: Callable[[Sequence[str]], Write] | None = None,
    ) -> frozenset[str]:
        """Makes each id's writes together or not at all; returns the ids whose condition did not hold.

        Every write carries its id as the label; `note` makes one more for the ids of a transaction. One AWS call for
        each hundred writes, and one more for each time that some are refused: the others of that call go again without
        them.
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
                    self.run([*writes, note(group)] if note else writes)
                    break
                except TransactionRefused as exc:
                    if not exc.failed.intersection(group):
                        raise
                    refused |= exc.failed
                    group = [image_id for image_id in group if image_id not in exc.failed]
        return frozenset(refused)
