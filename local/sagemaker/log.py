"""Logs events of the local endpoint as JSON lines on stderr; never a payload or its address."""

from __future__ import annotations

import contextlib
import json
import sys
from datetime import UTC, datetime


def event(name: str, **fields: object) -> None:
    """Writes one event with its fields. A log that cannot be written ends nothing."""
    line = {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "event": f"sagemaker.{name}",
        **fields,
    }
    write(json.dumps(line, default=str))


def write(line: str) -> None:
    """Writes a line to stderr, or drops it, as on a full disk."""
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(line + "\n")
        sys.stderr.flush()
