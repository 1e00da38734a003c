"""How often each model's endpoint came up from zero: told from looks at it, and counted once each."""

from __future__ import annotations

from services.aws.table import Put, Table, TransactionRefused, Update
from services.backends.endpoint_status import EndpointStatus
from services.logs import event
from services.records import EndpointInfo, EndpointState
from services.store import keys

STATES = {EndpointState.COLD: False, EndpointState.READY: True}


class ColdStartCounter:
    """Remembers whether each model was awake, and counts it into the day's usage when it wakes.

    A wake is counted whoever caused it, also when its job was canceled. One that comes and goes between two looks is
    not seen.
    """

    def __init__(self, table: Table, endpoints: EndpointStatus) -> None:
        self._table = table
        self._endpoints = endpoints
        self._noted: dict[str, bool] = {}

    def look(self) -> None:
        """Reads all endpoints, one AWS call each, and notes what changed: a read and a transaction for a change."""
        self._endpoints.refresh()
        for info in self._endpoints.all():
            self.note(info)

    def note(self, info: EndpointInfo) -> None:
        """Notes one look. Several workers, repeated and late ones count a wake once."""
        awake = STATES.get(info.state)
        if awake is None or self._noted.get(info.model) is awake:
            return
        key, at = (keys.STUDIO_PK, f"AWAKE#{info.model}"), info.read_at.isoformat(timespec="milliseconds")
        before = self._table.get(*key)
        if before is None:
            first = {"PK": key[0], "SK": key[1], "awake": awake, "looked_at": at}
            self._write([Put(item=first, label="awake", condition="attribute_not_exists(PK)")])
        elif before["awake"] is not awake:
            change = Update(
                key=key,
                label="awake",
                assign={"awake": awake, "looked_at": at},
                # Later than the look that is there: one that was held up on its way must not turn it back.
                condition="#awake = :before AND #looked_at < :at",
                values={":before": not awake, ":at": at},
            )
            count = Update(
                key=keys.usage_key(info.read_at, info.model, 0), label="usage", add={"cold_starts": 1}
            )
            if self._write([change, count] if awake else [change]) and awake:
                event("model_woke", model=info.model)
        self._noted[info.model] = awake

    def _write(self, writes: list[Put | Update]) -> bool:
        """False when another worker was faster, or an answer was lost and the first try had done it."""
        try:
            self._table.transact(writes)
        except TransactionRefused:
            return False
        return True
