"""Measures contention between submits under DynamoDB's conflict rules: refusals per submit, 32 threads versus one.

A submit here is the transaction that creates a job, including all the ledger's writes. The fault harness produces the
refusals over the embedded cloud; the seconds are the embedded cloud's, which runs all threads on one core.
"""

from __future__ import annotations

import os
import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from bench.backlog import ESTIMATE, SPEC
from bench.stack import PUBLIC_URL, running_cloud
from bench.table import print_table
from services.aws.session import make_clients
from services.aws.table import Table
from services.billing.ledger import Ledger
from services.billing.studio_budget import StudioBudget
from services.clock import now
from services.records import Job, JobStatus
from services.settings import Settings, load_settings
from services.store import keys
from services.store.jobs import JobStore
from services.store.spend import SpendStore
from services.store.user_counters import UserCounters
from tests.faults.conflicts import Conflicts

SUBMITS = 200
PROCESSES = 4
# The duration of a transaction on DynamoDB.
HOLD_S = 0.01
# Threads and makers.
CROWDS = ((1, 1), (1, 16), (32, 1), (32, 16))


class Run(NamedTuple):
    """The results of one crowd's submits."""

    rate: float
    refused: float
    longest_s: float


def measure(folder: Path) -> None:
    """Prints a table of each crowd; raises when a submit gives up."""
    with running_cloud(folder) as resources:
        environment = resources.studio_environment(
            public_url=PUBLIC_URL,
            cookie_secret=secrets.token_hex(32),
            sagemaker_url="http://localhost:1",
        )
        os.environ.update(environment)
        settings = load_settings(environment).model_copy(
            update={"user_open_jobs": 10**6, "user_daily_images": 10**6}
        )
        dynamodb = make_clients(settings).dynamodb
        runs = [(crowd, _run(dynamodb, settings, *crowd)) for crowd in CROWDS]
    alone = {makers: run.rate for (threads, makers), run in runs if threads == 1}
    print_table(
        f"{SUBMITS} submits in {PROCESSES} processes' worth of ledgers, with DynamoDB's refusals; none given up",
        ["threads", "makers", "submits a second", "against one thread", "refusals a submit", "longest, ms"],
        [
            [
                str(threads),
                str(makers),
                f"{run.rate:.0f}",
                f"{run.rate / alone[makers]:.2f}",
                f"{run.refused:.2f}",
                f"{run.longest_s * 1000:.0f}",
            ]
            for (threads, makers), run in runs
        ],
    )


def _run(dynamodb: Any, settings: Settings, threads: int, makers: int) -> Run:
    tables = [Table(dynamodb, settings.table) for _ in range(min(threads, PROCESSES))]
    processes = [
        (Ledger(UserCounters(table), StudioBudget(SpendStore(table)), settings), JobStore(table))
        for table in tables
    ]
    users = [secrets.token_hex(16) for _ in range(makers)]

    def submit(n: int) -> float:
        ledger, store = processes[n % len(processes)]
        return _submit(ledger, store, users[n % makers])

    with Conflicts(dynamodb, hold_s=HOLD_S) as conflicts, ThreadPoolExecutor(threads) as pool:
        start = time.monotonic()
        took = list(pool.map(submit, range(SUBMITS)))
        rate = SUBMITS / (time.monotonic() - start)
        return Run(rate, conflicts.refused.total() / SUBMITS, max(took))


def _submit(ledger: Ledger, store: JobStore, user_id: str) -> float:
    """Creates one job and returns the time in seconds."""
    start = time.monotonic()
    job = Job(
        id=keys.new_id(),
        user_id=user_id,
        status=JobStatus.STARTING,
        spec=SPEC,
        attempt=1,
        created_at=now(),
        estimate=ESTIMATE,
    )
    ledger.reserve(job, lambda writes: store.create(job, writes))
    return time.monotonic() - start
