"""The state of an endpoint."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from services.records.base import Record


class EndpointState(StrEnum):
    COLD = "cold"
    STARTING = "starting"
    READY = "ready"
    UNKNOWN = "unknown"


class EndpointInfo(Record):
    """The state of a model's endpoint as of `read_at`."""

    model: str
    state: EndpointState
    instances: int
    read_at: datetime
