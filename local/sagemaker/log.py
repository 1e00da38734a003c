"""Log lines of the local endpoint: one JSON object an event, on stderr; never a payload or an address of one."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime


def event(name: str, **fields: object) -> None:
    """Writes one event with its fields."""
    line = {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "event": f"sagemaker.{name}",
        **fields,
    }
    sys.stderr.write(json.dumps(line, default=str) + "\n")
    sys.stderr.flush()
