"""Tests that every logger of a studio's process writes the studio's JSON, without texts of strangers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SECRET = "stranger's text\u2028\x1b[31m"
SCRIPT = """
import asyncio, logging, sys, threading, warnings
from streamlit.logger import get_logger
get_logger("streamlit.early")
import uvicorn
uvicorn.Config(None)
from app.streamlit_internals.log_handlers import install
from services.logs import configure, event
configure("INFO")
install()
secret = sys.argv[1]
for name in ("streamlit.early", "streamlit.late", "uvicorn.error", "websockets", "botocore", "asyncio", "tornado"):
    logger = get_logger(name) if name.startswith("streamlit") else logging.getLogger(name)
    logger.error("Error during authentication: %s, %d times", secret, 3)
    logger.info("GET %s", secret)
    logger.error("Task exception was never retrieved\\n" + secret)
    try:
        raise ValueError(secret)
    except ValueError:
        logger.exception("It failed")
warnings.warn("something is old")
thread = threading.Thread(target=lambda: int(secret))
thread.start(); thread.join()

class Fragile:
    def __del__(self):
        raise ValueError(secret)
    def __str__(self):
        raise ValueError(secret)

Fragile()
event("odd", what=Fragile())
event("done", user="u1")
raise ValueError(secret)
"""


def test_every_line_is_json_and_repeats_no_foreign_text() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT, SECRET],
        cwd=ROOT,
        env={**os.environ, "STREAMLIT_LOGGER_LEVEL": "warning"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    lines = [json.loads(line) for line in ended.stderr.splitlines()]
    assert "stranger" not in ended.stderr and ended.stdout == ""
    assert len(lines) == 7 * 3 + 7
    said = [line["event"] for line in lines]
    assert said[:3] == [
        "Error during authentication: …, 3 times",
        "Task exception was never retrieved",
        "It failed",
    ]
    assert lines[2]["exception"] == "ValueError"
    assert "something is old" in said[-7]
    ends = [
        "thread_died",
        "exception_ignored",
        "log_line_failed",
        "exception_ignored",
        "done",
        "process_died",
    ]
    assert said[-6:] == ends
