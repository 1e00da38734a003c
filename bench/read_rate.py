"""Measures reads of `/v1` at a fixed rate: latency, errors, and the processor time of the studio and of the cloud.

Requests are sent at their time whether or not earlier ones were answered, and latency counts from that time: waiting is
not hidden. On AWS only the studio's own share counts, so that it is printed apart from the embedded cloud's.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx

from bench.table import print_table
from bench.whole_studio import ask, running_studio

RATES = (10, 25, 50, 100)
MEASURED_S = 15.0
SUBMITS_A_SECOND = 2
JOBS = 40
TIMEOUT_S = 30.0
SMALL = {"prompt": "a red apple", "steps": 1}


class Answer(NamedTuple):
    """The status of an answer (0 without one), and the seconds since it was due."""

    status: int
    late_s: float


def measure(folder: Path) -> None:
    """Starts a studio, draws some jobs, and prints a row for each rate, alone and beside submits."""
    with running_studio(folder / "home") as (url, home):
        key = json.loads((home / "credentials.json").read_text())["maker"]["api_key"]
        jobs = [ask(url, key, "POST", "/v1/jobs", {**SMALL, "seed": n}, wait_s=60) for n in range(JOBS)]
        pids = {
            name: int(kept[0]) for name, kept in json.loads((home / "processes.json").read_text()).items()
        }
        # The first reads of a process import and cache.
        asyncio.run(_row(url, key, _paths(jobs), 10, 3.0, submits=False, pids=pids))
        rows = [
            asyncio.run(_row(url, key, _paths(jobs), rate, MEASURED_S, submits=submits, pids=pids))
            for submits in (False, True)
            for rate in RATES
        ]
    print_table(
        f"Reads of jobs, images and models, {MEASURED_S:.0f} s each (target at 50: p95 200 ms; at 100: no error)",
        [
            "reads a second",
            "submits a second",
            "p50, ms",
            "p95, ms",
            "errors",
            "studio, ms a read",
            "cloud, ms a read",
        ],
        rows,
    )


def _paths(jobs: list[dict[str, object]]) -> Iterator[str]:
    ids = [str(job["id"]) for job in jobs]
    mixed = [
        path
        for job in ids
        for path in (f"/v1/jobs/{job}", "/v1/models", f"/v1/images/{job}-0", "/v1/jobs?limit=10")
    ]
    return itertools.cycle(mixed)


async def _row(
    url: str, key: str, paths: Iterator[str], rate: int, for_s: float, *, submits: bool, pids: dict[str, int]
) -> list[str]:
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=200)
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=TIMEOUT_S, limits=limits) as client:
        before = {name: _cpu_s(pid) for name, pid in pids.items()}
        writing = asyncio.create_task(_submit(client, for_s)) if submits else None
        began = time.monotonic()
        tasks = []
        for n in range(int(rate * for_s)):
            due = began + n / rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            tasks.append(asyncio.create_task(_read(client, next(paths), due)))
        answers = await asyncio.gather(*tasks)
        used = {name: _cpu_s(pid) - before[name] for name, pid in pids.items()}
        if writing:
            await writing
    late_ms = sorted(answer.late_s * 1000 for answer in answers)
    errors = Counter(answer.status for answer in answers if answer.status != 200)
    return [
        str(rate),
        str(SUBMITS_A_SECOND if submits else 0),
        f"{statistics.median(late_ms):.0f}",
        f"{late_ms[int(len(late_ms) * 0.95)]:.0f}",
        ", ".join(f"{count} x {status}" for status, count in sorted(errors.items())) or "0",
        *(f"{used[name] / len(answers) * 1000:.1f}" for name in ("studio", "embedded cloud")),
    ]


async def _read(client: httpx.AsyncClient, path: str, due: float) -> Answer:
    try:
        status = (await client.get(path)).status_code
    except httpx.HTTPError:
        status = 0
    return Answer(status, time.monotonic() - due)


async def _submit(client: httpx.AsyncClient, for_s: float) -> None:
    for n in range(int(SUBMITS_A_SECOND * for_s)):
        await client.post("/v1/jobs", json={**SMALL, "seed": 1000 + n})
        await asyncio.sleep(1 / SUBMITS_A_SECOND)


def _cpu_s(pid: int) -> float:
    """Returns the processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
