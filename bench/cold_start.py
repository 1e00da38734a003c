"""Measures the wait from `make run` on a prepared machine to the first picture, and to the second."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import urllib.request
from pathlib import Path

from bench.table import print_table
from local.processes import ROOT, STUDIO_PYTHON, any_free_port

LIMIT_S = 180.0


def measure(folder: Path) -> None:
    """Starts a new studio in `folder` twice and prints one table."""
    rows = []
    for title in ("new home", "the same home again"):
        rows.append([title, *[f"{seconds:.1f}" for seconds in _start_and_draw(folder / "home")]])
    rows.append(["target", "", "20", "3"])
    print_table(
        "From `make run` on a prepared machine, in seconds",
        ["", "ready", "first picture", "second picture (by itself)"],
        rows,
    )


def _start_and_draw(home: Path) -> tuple[float, float, float]:
    """Return seconds until the studio is ready, from start to the first picture, and for the second alone."""
    port = any_free_port()
    environment = {**os.environ, "PORT": str(port), "ATELIER_HOME": str(home)}
    began = time.monotonic()
    process = subprocess.Popen(
        [STUDIO_PYTHON, "-m", "local.run"], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if "Atelier is ready" in line:
                break
        ready = time.monotonic() - began
        key = json.loads((home / "credentials.json").read_text())["maker"]["api_key"]
        _draw(port, key, "a red apple")
        first = time.monotonic() - began
        before = time.monotonic()
        _draw(port, key, "a rocket")
        return ready, first, time.monotonic() - before
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


def _draw(port: int, key: str, prompt: str) -> None:
    request = urllib.request.Request(
        f"http://localhost:{port}/v1/jobs",
        data=json.dumps({"prompt": prompt}).encode(),
        headers={
            "Authorization": f"Bearer {key}",
            "Content-Type": "application/json",
            "Prefer": "wait=60",
        },
    )
    with urllib.request.urlopen(request, timeout=LIMIT_S) as answer:  # noqa: S310 - our own address
        job = json.loads(answer.read())
    assert job["status"] == "succeeded", job
