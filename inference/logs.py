"""Structured logs: one JSON object per line on stderr; events and ids only, never prompts or URLs."""

from __future__ import annotations

import json
import logging
import sys
import threading
import traceback
import warnings
from datetime import UTC, datetime
from typing import Literal

_lock = threading.Lock()


def log(level: Literal["info", "warning", "error"], event: str, **fields: object) -> None:
    """Write one event with its time (UTC) to stderr; values that JSON lacks are written as text."""
    record = {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "level": level,
        "event": event,
        **fields,
    }
    line = json.dumps(record, default=str, separators=(",", ":"))
    with _lock:
        # A closed stderr must never end a request.
        try:
            sys.stderr.write(line + "\n")
            sys.stderr.flush()
        except (OSError, ValueError):
            return


def describe_failure(error: BaseException) -> dict[str, object]:
    """Return the type and the innermost code locations of `error`, without its message, which may quote a prompt."""
    frames = traceback.extract_tb(error.__traceback__)[-4:]
    return {
        "error": type(error).__name__,
        "at": [f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno} {frame.name}" for frame in frames],
    }


class _LibraryHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        """Log which library warned, and where; the text may quote a prompt or a URL, so it is left out."""
        failure = describe_failure(record.exc_info[1]) if record.exc_info and record.exc_info[1] else {}
        log(
            "error" if record.levelno >= logging.ERROR else "warning",
            "library_warning",
            logger=record.name,
            line=f"{record.filename}:{record.lineno}",
            **failure,
        )


def redirect_library_logs() -> None:
    """Send library logs from WARNING up, and exceptions that end a thread, through `log`; Python warnings are
    silenced.
    """
    logging.basicConfig(level=logging.WARNING, handlers=[_LibraryHandler()], force=True)
    warnings.simplefilter("ignore")

    def report_dead_thread(arguments: threading.ExceptHookArgs) -> None:
        name = arguments.thread.name if arguments.thread else None
        failure = describe_failure(arguments.exc_value) if arguments.exc_value else {}
        log("error", "thread_ended", thread=name, **failure)

    threading.excepthook = report_dead_thread
