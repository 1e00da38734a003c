"""Counts each model's cold starts, detected by looking at its endpoint."""

from __future__ import annotations

from services.backends.endpoint_status import EndpointStatus
from services.logs import event
from services.records import EndpointInfo, EndpointState
from services.store import usage_days
from services.store.endpoint_records import EndpointRecords

STATES = {EndpointState.COLD: False, EndpointState.READY: True}


class ColdStartCounter:
    """Remembers whether each model was awake, and counts each wake-up in the day's usage.

    A wake-up counts whatever caused it, even if its job was canceled. One that begins and ends between two looks is
    missed.
    """

    def __init__(self, records: EndpointRecords, endpoints: EndpointStatus) -> None:
        self._records = records
        self._endpoints = endpoints
        self._noted: dict[str, bool] = {}

    def look(self) -> None:
        """Reads all endpoints, one AWS call each, and records changes: a read and a transaction per change."""
        self._endpoints.refresh()
        for info in self._endpoints.all():
            self.note(info)

    def note(self, info: EndpointInfo) -> None:
        """Records one look. Wake-ups are counted once, even with several workers and repeated or late looks."""
        awake = STATES.get(info.state)
        if awake is None or self._noted.get(info.model) is awake:
            return
        before = self._records.awake(info.model)
        if before is None:
            self._records.note_first_look(info.model, awake=awake, looked_at=info.read_at)
        elif before is not awake:
            woke = [usage_days.count(info.read_at, info.model, 0, {"cold_starts": 1})] if awake else []
            noted = self._records.note_change(
                info.model, awake=awake, looked_at=info.read_at, extra_writes=woke
            )
            if noted and awake:
                event("model_woke", model=info.model)
        self._noted[info.model] = awake
