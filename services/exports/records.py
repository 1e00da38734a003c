"""The frozen types of ZIPs that were ordered."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from services.records import Record


class ExportStatus(StrEnum):
    WAITING = "waiting"
    WORKING = "working"
    READY = "ready"
    FAILED = "failed"


class Export(Record):
    """A ZIP that was ordered. `pictures` were asked for, `done` are looked at, `missing` were no longer there.

    With `settings` the pictures keep how they were made. `size_bytes` and the id of its `file` are None until it is
    ready.
    """

    id: str
    user_id: str
    status: ExportStatus
    pictures: int
    done: int = 0
    missing: int = 0
    size_bytes: int | None = None
    file: str | None = None
    settings: bool
    created_at: datetime
    expires_at: datetime
