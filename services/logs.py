"""Structured logs: one JSON object per line on stderr, with ids but never a prompt, token, email, or URL."""

from __future__ import annotations

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import Any

_logger = logging.getLogger("atelier")


class JsonFormatter(logging.Formatter):
    """One line per record: time, level, event, fields, and a traceback if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = getattr(record, "fields", {})
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **fields,
        }
        if record.exc_info and record.exc_info[0]:
            # The location only: an exception's message can quote a user's text.
            kind, _, trace = record.exc_info
            line["exception"] = kind.__name__
            line["trace"] = [
                f"{f.filename.rsplit('/', 1)[-1]}:{f.lineno} {f.name}" for f in traceback.extract_tb(trace)
            ]
        return json.dumps(line, default=str, ensure_ascii=False)


def configure(level: str) -> None:
    """Sends all logging of this process to stderr as JSON lines; libraries from WARNING on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    _logger.setLevel(level)


def event(name: str, *, level: int = logging.INFO, exc: BaseException | None = None, **fields: Any) -> None:
    """Logs one state change with its ids."""
    _logger.log(level, name, extra={"fields": fields}, exc_info=exc)
