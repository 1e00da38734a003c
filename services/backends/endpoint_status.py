"""The state of the endpoints: one background thread per process reads it for everything that shows it."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime, timedelta

from services.backends.by_model import Backends
from services.errors import Unavailable
from services.logs import event
from services.periodic import PeriodicReader
from services.records import EndpointInfo, EndpointState

REFRESH_S = 3.0
# Older states are read again before use.
FRESH_S = 5.0
# How long a request waits for that reading.
WAIT_S = 1.0
# While an endpoint does not answer, its last state is used this long.
KEPT_S = 30.0
# A model without requests for this long is no longer read.
WANTED_S = 30.0


class EndpointStatus:
    """The last known state of each model's endpoint.

    The thread reads only models with recent requests: DescribeEndpoint is throttled for the whole account, however many
    processes and models there are.
    """

    def __init__(self, backends: Backends) -> None:
        self._backends = backends
        self._known: dict[str, EndpointInfo] = {}
        self._asked_at: dict[str, float] = {}
        self._urgent: set[str] = set()
        self._gave_up_at = float("-inf")
        self._reader = PeriodicReader(
            "endpoint_status", self._read_wanted, interval_s=REFRESH_S, wanted_s=WANTED_S
        )

    def state(self, model: str) -> EndpointInfo:
        """Returns the state of the model's endpoint, at most a few seconds old; UNKNOWN if it does not answer.

        No AWS call on the caller's thread. A state without recent requests is read first, which takes up to a second;
        while an endpoint does not answer, only one request every few seconds waits for it.
        """
        if self._backends.offered(model) is None:
            return _unknown(model)
        self._asked_at[model] = time.monotonic()
        since = datetime.now(UTC) - timedelta(seconds=FRESH_S)
        if self._is_known(model, since) or time.monotonic() - self._gave_up_at < FRESH_S:
            self._reader.ask()
        else:
            self._urgent.add(model)
            if not self._reader.wait_for(lambda: self._is_known(model, since), timeout_s=WAIT_S):
                self._gave_up_at = time.monotonic()
        still_good = datetime.now(UTC) - timedelta(seconds=KEPT_S)
        return self._known[model] if self._is_known(model, still_good) else _unknown(model)

    def fresh(self, model: str) -> EndpointInfo:
        """Returns the state of the model's endpoint, at most a few seconds old, even without earlier requests.

        One AWS call if the last reading is older. An endpoint that does not answer is UNKNOWN.
        """
        if self._backends.offered(model) is not None:
            if self._is_known(model, datetime.now(UTC) - timedelta(seconds=FRESH_S)):
                return self._known[model]
            try:
                return self._read(model)
            except Unavailable as exc:
                event("endpoint_unknown", level=logging.WARNING, exc=exc, model=model)
        return _unknown(model)

    def all(self) -> tuple[EndpointInfo, ...]:
        """Returns the last known states of all models that were read."""
        return tuple(self._known.values())

    def refresh(self) -> None:
        """Reads every endpoint's state now; one AWS call per model. One that does not answer keeps its last state."""
        for model in self._backends.models:
            try:
                self._read(model)
            except Unavailable:
                continue

    def close(self) -> None:
        """Ends the background thread."""
        self._reader.close()

    def _is_known(self, model: str, since: datetime) -> bool:
        known = self._known.get(model)
        return known is not None and known.read_at >= since

    def _read(self, model: str) -> EndpointInfo:
        info = self._backends.of(model).state(model)
        # Two threads may read at once: an earlier reading must not replace a later one.
        if not self._is_known(model, info.read_at):
            self._known[model] = info
        return info

    def _read_wanted(self) -> None:
        """Reads the recently requested models, unless another thread has just read them."""
        just_now = datetime.now(UTC) - timedelta(seconds=REFRESH_S / 2)
        for model, asked_at in list(self._asked_at.items()):
            urgent = model in self._urgent
            self._urgent.discard(model)
            lately = time.monotonic() - asked_at <= WANTED_S
            if not urgent and (not lately or self._is_known(model, just_now)):
                continue
            try:
                self._read(model)
            except Exception as exc:  # noqa: BLE001 - one endpoint's trouble must not hide the others
                level = logging.WARNING if isinstance(exc, Unavailable) else logging.ERROR
                event("endpoint_unknown", level=level, exc=exc, model=model)


def _unknown(model: str) -> EndpointInfo:
    return EndpointInfo(model=model, state=EndpointState.UNKNOWN, instances=0, read_at=datetime.now(UTC))
