"""What the endpoints are doing: read by one background thread a process, shown by everybody."""

from __future__ import annotations

import logging
import threading
import time
from datetime import UTC, datetime

from services.aws.endpoints import Endpoints
from services.errors import Unavailable
from services.logs import event
from services.records import EndpointInfo, EndpointState

REFRESH_S = 3.0
FRESH_S = 5.0
# How long the first question waits for the first reading; every later one is answered at once.
FIRST_S = 1.0
# Nobody asked for this long: the thread sleeps until somebody does.
WANTED_S = 30.0


class EndpointStatus:
    """The last known state of each model's endpoint."""

    def __init__(self, endpoints: Endpoints, names: dict[str, str]) -> None:
        self._endpoints = endpoints
        self._names = names
        self._known: dict[str, EndpointInfo] = {}
        self._asked_at = 0.0
        self._wake = threading.Event()
        self._read = threading.Event()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def state(self, model: str) -> EndpointInfo:
        """What the model's endpoint was doing a moment ago; UNKNOWN when it does not answer. No AWS call."""
        self._asked_at = time.monotonic()
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="endpoint-status", daemon=True)
                self._thread.start()
        self._wake.set()
        self._read.wait(FIRST_S)
        unknown = EndpointInfo(
            model=model, state=EndpointState.UNKNOWN, instances=0, read_at=datetime.now(UTC)
        )
        return self._known.get(model, unknown)

    def fresh(self, model: str) -> EndpointInfo:
        """What the model's endpoint does, as of a few seconds ago even when nobody asked before.

        One AWS call when the last look is older. An endpoint that does not answer is UNKNOWN.
        """
        known = self._known.get(model)
        if known is not None and (datetime.now(UTC) - known.read_at).total_seconds() < FRESH_S:
            return known
        if (name := self._names.get(model)) is not None:
            try:
                self._known[model] = self._endpoints.describe(model, name)
                return self._known[model]
            except Unavailable as exc:
                event("endpoint_unknown", level=logging.WARNING, exc=exc, model=model)
        return EndpointInfo(model=model, state=EndpointState.UNKNOWN, instances=0, read_at=datetime.now(UTC))

    def all(self) -> tuple[EndpointInfo, ...]:
        """The last known states, those that were ever read."""
        return tuple(self._known.values())

    def refresh(self) -> None:
        """Reads every endpoint's state now; one AWS call a model. An endpoint that does not answer keeps its last."""
        for model, name in self._names.items():
            try:
                self._known[model] = self._endpoints.describe(model, name)
            except Unavailable:
                continue

    def close(self) -> None:
        """Ends the background thread."""
        self._stop.set()
        self._wake.set()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.refresh()
            except Exception as exc:  # noqa: BLE001 - the thread's edge: the next round tries again
                event("endpoint_status_failed", level=logging.ERROR, exc=exc)
            self._read.set()
            self._stop.wait(REFRESH_S)
            if time.monotonic() - self._asked_at > WANTED_S:
                self._wake.clear()
                self._wake.wait()
