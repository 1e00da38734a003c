"""A container program whose behavior, faults included, is set by each request. Run as `container.py FOLDER [START]`.

Every request is recorded in FOLDER/seen.jsonl before it acts, so a test can assert that its fault fired. START sets
the behavior at startup: `exit`, `mute` (listens, /ping answers 503), `slow` (1 s), or `exit_once` (first process only).
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

FOLDER = Path(sys.argv[1])
START = sys.argv[2] if len(sys.argv) > 2 else ""
WRITING = threading.Lock()


def note(**fields: Any) -> None:
    """Append one line to the record; it is on disk on return."""
    with WRITING, (FOLDER / "seen.jsonl").open("a") as file:
        file.write(json.dumps({"pid": os.getpid(), **fields}) + "\n")


class Handler(BaseHTTPRequestHandler):
    """Handles /ping and /invocations."""

    def do_GET(self) -> None:
        self._answer(503 if START == "mute" else 200, b"")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        wanted = json.loads(body)
        headers = {name.lower(): value for name, value in self.headers.items()}
        note(event="begin", id=wanted.get("id"), do=wanted.get("do"), headers=headers)
        match wanted.get("do"):
            case "crash":
                os.kill(os.getpid(), signal.SIGKILL)
            case "hang" if not (FOLDER / "calm").exists():
                time.sleep(600)
            case "sleep":
                time.sleep(wanted["seconds"])
                self._answer(200, body)
            case "error":
                self._answer(wanted["status"], b'{"error": {"code": "model_error", "message": "as asked"}}')
            case "truncate":
                self.send_response(200)
                self.send_header("Content-Length", "1000")
                self.end_headers()
                self.wfile.write(b"half of")
            case "no_length":
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"whole or not?")
            case "busy":
                mark = FOLDER / f"busy-{wanted['id']}"
                tries = int(mark.read_text()) if mark.exists() else 0
                mark.write_text(str(tries + 1))
                self._answer(503 if tries < wanted["times"] else 200, body)
            case _:
                self._answer(200, body)
        note(event="end", id=wanted.get("id"))

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/x-echo")
        self.send_header("X-Amzn-SageMaker-Custom-Attributes", "from the container")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: seen.jsonl is the log."""


def stop(_number: int, _frame: object) -> None:
    """Record the signal and exit at once."""
    note(event="term")
    os._exit(0)


def main() -> None:
    """Serve until SIGTERM."""
    note(event="start", model_dir=os.environ["INFERENCE_MODEL_DIR"])
    if START == "exit":
        sys.exit("no weights here")
    if START == "exit_once" and not (FOLDER / "exited").exists():
        (FOLDER / "exited").touch()
        sys.exit("not yet")
    if START == "slow":
        time.sleep(1)
    signal.signal(signal.SIGTERM, stop)
    address = (os.environ["INFERENCE_HOST"], int(os.environ["INFERENCE_PORT"]))
    ThreadingHTTPServer(address, Handler).serve_forever()


if __name__ == "__main__":
    main()
