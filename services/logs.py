"""Structured logs: one JSON object per line on stderr, with ids but never a prompt, token, email, or URL."""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import threading
import traceback
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, TextIO

_logger = logging.getLogger("atelier")
LONGEST_MESSAGE = 300
# Formatted by Python itself, of our own code and its libraries.
_WARNINGS = "py.warnings"


class JsonHandler(logging.StreamHandler[TextIO]):
    """Writes lines to a stream; Python's own report of a line that fails would repeat its texts."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Reports the logger of the line that failed, if anything can be written."""
        with contextlib.suppress(OSError, ValueError):
            self.stream.write(
                json.dumps({"level": "error", "logger": record.name, "event": "log_line_failed"}) + "\n"
            )


class JsonFormatter(logging.Formatter):
    """One line per record: time, level, event, fields, and a traceback if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = getattr(record, "fields", {})
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage() if record.name == _logger.name else _of_a_library(record),
            **fields,
        }
        if record.exc_info and record.exc_info[0]:
            # The location only: an exception's message can quote a user's text.
            kind, _, trace = record.exc_info
            line["exception"] = kind.__name__
            line["trace"] = [
                f"{f.filename.rsplit('/', 1)[-1]}:{f.lineno} {f.name}" for f in traceback.extract_tb(trace)
            ]
        # Escaped: no character of foreign text can change how a terminal shows a line, or begin one.
        return json.dumps(line, default=str)


def _of_a_library(record: logging.LogRecord) -> str:
    """Returns the first line of a library's message, with numbers but no texts in it: those can be a stranger's."""
    if record.name == _WARNINGS:
        message = record.getMessage()
    elif isinstance(record.args, tuple) and record.args:
        shown = tuple(arg if isinstance(arg, int | float) else "…" for arg in record.args)
        try:
            message = str(record.msg) % shown
        except (TypeError, ValueError):
            message = str(record.msg)
    else:
        message = str(record.msg)
    return message.strip().partition("\n")[0][:LONGEST_MESSAGE]


def configure(level: str) -> None:
    """Sends all logging of this process to stderr as JSON lines, and what ends a thread; libraries from WARNING on."""
    handler = JsonHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    # Also of libraries that set a level of their own, such as the server's line for each request, with its URL.
    handler.addFilter(lambda record: record.name == _logger.name or record.levelno >= logging.WARNING)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    # A library that was imported earlier may have installed its own handlers.
    for logger in list(root.manager.loggerDict.values()):
        if isinstance(logger, logging.Logger):
            logger.handlers[:] = []
            logger.propagate = True
    logging.captureWarnings(True)
    threading.excepthook = _thread_died
    sys.unraisablehook = _not_raised
    sys.excepthook = _process_died
    _logger.setLevel(level)


def _thread_died(args: threading.ExceptHookArgs) -> None:
    if args.exc_type is not SystemExit:
        event("thread_died", level=logging.ERROR, exc=args.exc_value)


def _not_raised(args: sys.UnraisableHookArgs) -> None:
    event("exception_ignored", level=logging.ERROR, exc=args.exc_value)


def _process_died(kind: type[BaseException], exc: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, exc, trace)
        return
    event("process_died", level=logging.CRITICAL, exc=exc)


def event(name: str, *, level: int = logging.INFO, exc: BaseException | None = None, **fields: Any) -> None:
    """Logs one state change with its ids."""
    _logger.log(level, name, extra={"fields": fields}, exc_info=exc)
