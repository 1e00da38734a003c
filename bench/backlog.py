"""Measures the cost of backlog queries: DynamoDB requests and items read, with few and with very many waiting jobs.

The waiting jobs are written into the embedded cloud in the studio's format. The seconds are those of the embedded
cloud and say little about DynamoDB, which finds the first items of an index regardless of its size.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

from bench.items import write_items
from bench.reads import Reads
from bench.stack import PUBLIC_URL, running_cloud
from bench.table import print_table
from services.aws.endpoints import Endpoints
from services.aws.objects import Objects
from services.aws.session import make_clients
from services.aws.table import Put, Table, Update
from services.backends.by_model import Backends
from services.backends.endpoint_status import EndpointStatus
from services.backends.sagemaker_async import SageMakerAsync
from services.clock import now
from services.jobs.scheduling import Scheduler
from services.records import Estimate, Job, JobSpec, JobStatus, Line, Ticket
from services.settings import load_settings
from services.store import keys
from services.store.job_items import job_to_item
from services.store.jobs import JobStore
from services.store.queues import QueueStore, change

SIZES = (100, 1_000, 10_000, 100_000)
JOBS_A_MAKER = 50
# Queries of each kind; the table shows the most expensive.
LOOKS = 5
LIMIT = 1.2
ENDPOINT = "endpoint"
SPEC = JobSpec(
    prompt="a red apple",
    negative_prompt="",
    model="pocket",
    model_revision="bench",
    width=128,
    height=128,
    steps=20,
    guidance=4.0,
    scheduler="ddim",
    quality="standard",
    seed=7,
    count=1,
)
ESTIMATE = Estimate(cost_usd=0.001, at_most_usd=0.002, run_s=1.0, cold_start_s=0.0)


Look = Callable[[], object]
After = Callable[[Any], None]


class Cost(NamedTuple):
    """The cost of one query."""

    requests: int
    items: int
    seconds: float


def measure(folder: Path) -> None:
    """Prints a table of each query by backlog size; SystemExit when the largest costs over 1.2 x the smallest."""
    found: dict[str, list[Cost]] = {}
    with running_cloud(folder) as resources:
        environment = resources.studio_environment(
            public_url=PUBLIC_URL, cookie_secret=secrets.token_hex(32), sagemaker_url="http://localhost:1"
        )
        os.environ.update(environment)
        settings = load_settings().model_copy(update={"endpoints": {SPEC.model: ENDPOINT}})
        clients = make_clients(settings)
        table = Table(clients.dynamodb, settings.table)
        sagemaker = SageMakerAsync(
            Endpoints(clients.sagemaker_runtime, clients.sagemaker),
            Objects(clients.s3, settings.inputs_bucket),
            Objects(clients.s3, settings.outputs_bucket),
            settings,
        )
        backends = Backends({SPEC.model: sagemaker}, former=sagemaker)
        status = EndpointStatus(backends)
        scheduler = Scheduler(JobStore(table), QueueStore(table), backends, status, settings)
        backlog = Backlog(clients.dynamodb, settings.table)
        backlog.run(settings.dispatch_window - 1)
        for size in SIZES:
            backlog.grow(size)
            for name, look in _looks(table, scheduler, backlog.waiting).items():
                found.setdefault(name, []).append(max(_cost(clients.dynamodb, *look) for _ in range(LOOKS)))
    print_table(
        f"A look at an endpoint's backlog (target: {SIZES[-1]:,} waiting jobs cost at most {LIMIT} x what "
        f"{SIZES[0]:,} do)",
        ["look", "waiting jobs", "DynamoDB requests", "items read", "embedded cloud, s"],
        [
            [name, f"{size:,}", str(cost.requests), str(cost.items), f"{cost.seconds:.2f}"]
            for name, costs in found.items()
            for size, cost in zip(SIZES, costs, strict=True)
        ],
    )
    dearer = [
        name
        for name, (few, *_, many) in found.items()
        if many.requests > LIMIT * few.requests or many.items > LIMIT * few.items
    ]
    if dearer:
        raise SystemExit(f"costs more with more waiting jobs: {', '.join(dearer)}")


class Backlog:
    """Jobs of one endpoint in the studio's format; each maker has fifty waiting."""

    def __init__(self, dynamodb: Any, table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self.waiting: list[Job] = []
        self._totals: dict[tuple[str, str], dict[str, Any]] = {}

    def run(self, number: int) -> None:
        """Writes jobs that the endpoint is running."""
        self._write(Line.RUNNING, [f"{n:032x}" for n in range(number)])

    def grow(self, size: int) -> None:
        """Writes waiting jobs until there are `size`."""
        makers = [f"{n // JOBS_A_MAKER:032x}" for n in range(len(self.waiting), size)]
        self.waiting += self._write(Line.READY, makers)

    def _write(self, line: Line, makers: list[str]) -> list[Job]:
        jobs = [_job(maker, line, len(self.waiting) + n) for n, maker in enumerate(makers)]
        write_items(self._dynamodb, self._table, self._items(jobs))
        write_items(self._dynamodb, self._table, self._totals.values())
        return jobs

    def _items(self, jobs: list[Job]) -> Iterator[dict[str, Any]]:
        for job in jobs:
            runs = job.line is Line.RUNNING
            index = keys.RUNNING if runs else keys.WAITING
            yield job_to_item(job) | {"GSI1PK": index, "GSI1SK": f"9999#{job.id}"}
            for write in change(job, before=None, after=job.line):
                if isinstance(write, Put):
                    yield dict(write.item)
                elif isinstance(write, Update):
                    self._add(write)

    def _add(self, write: Update) -> None:
        """Applies the updates of an item one after another."""
        item = self._totals.setdefault(write.key, {"PK": write.key[0], "SK": write.key[1], **write.initial})
        for name, amount in write.add.items():
            item[name] = item.get(name, 0) + amount


def _job(maker: str, line: Line, waiting: int) -> Job:
    at = now()
    return Job(
        id=keys.new_id(),
        user_id=maker,
        status=JobStatus.STARTING if line is Line.RUNNING else JobStatus.QUEUED,
        spec=SPEC,
        attempt=1 if line is Line.RUNNING else 0,
        created_at=at,
        deadline_at=at + timedelta(hours=1),
        estimate=ESTIMATE,
        endpoint=ENDPOINT,
        line=line,
        ticket=Ticket(waiting=waiting, left=0),
    )


def _looks(table: Table, scheduler: Scheduler, jobs: list[Job]) -> dict[str, tuple[Look, After]]:
    """Return each query and the function that undoes its changes."""
    store = JobStore(table)

    def put_back(claimed: Any) -> None:
        [job] = claimed
        store.requeue(job)

    return {
        "choose the next job and claim it": (scheduler.next_jobs, put_back),
        "a place in line, near the front": (lambda: scheduler.positions([jobs[20]]), _nothing),
        "a place in line, the last one": (lambda: scheduler.positions([jobs[-1]]), _nothing),
        "the number waiting": (scheduler.backlog, _nothing),
        "whether a new job may run at once": (lambda: scheduler.standing(SPEC.model, held=False), _nothing),
        "a maker's open jobs": (lambda: store.open_of(jobs[-1].user_id), _nothing),
        "what is due for the sweeper": (lambda: store.waiting_due(now(), limit=500), _nothing),
    }


def _nothing(_: object) -> None:
    return None


def _cost(client: Any, look: Look, after: After) -> Cost:
    start = time.monotonic()
    with Reads(client) as reads:
        result = look()
    cost = Cost(reads.requests, reads.items, time.monotonic() - start)
    after(result)
    return cost
