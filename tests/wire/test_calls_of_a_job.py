"""Limits the number of AWS calls per job, because each costs money and time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from services.build import Studio
from services.records import JobRequest, JobStatus, User
from services.settings import Settings
from services.store import spend
from services.worker import Worker
from tests.endpoint import ScriptedEndpoint
from tests.wire.conftest import real_clients

MOST_CALLS = 12
# Reads the model's measured speed at most once a minute, not per job.
BY_THE_CLOCK = {"dynamodb BatchGetItem"}


@pytest.fixture
def calls(settings: Settings) -> Iterator[Counter[str]]:
    """Counts the requests of the studio's clients, including retries, without those to the scripted endpoint."""
    counted: Counter[str] = Counter()

    def count(event_name: str, **_: Any) -> None:
        _, service, operation = event_name.split(".")
        counted[f"{service} {operation}"] += 1

    clients = vars(real_clients(settings)).values()
    for client in clients:
        client.meta.events.register_first("before-send", count)
    yield counted
    for client in clients:
        client.meta.events.unregister("before-send", count)


def test_a_text_to_image_job_takes_twelve_aws_calls_from_submit_to_stored_picture(
    studio: Studio,
    endpoint: ScriptedEndpoint,
    maker: User,
    cloud: Any,
    calls: Counter[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    worker = Worker(studio, studio.results_queue, studio.metrics)
    studio.endpoints.refresh()
    # The first job of a month opens its budget, and the first job of a shard leases money for later ones.
    monkeypatch.setattr(spend, "shard_of", lambda _: 3)
    first = studio.jobs.submit(maker, JobRequest(prompt="a red apple"))
    studio.jobs.cancel(maker, first.id)
    endpoint.accepted.clear()
    calls.clear()
    job = studio.jobs.submit(maker, JobRequest(prompt="a red apple"), idempotency_key="one")
    message = endpoint.complete(endpoint.accepted[0])
    # The endpoint's own write of its output went through the studio's S3 client.
    calls["s3 PutObject"] -= 1
    cloud.client("sqs").send_message(QueueUrl=studio.settings.results_queue_url, MessageBody=message)
    assert worker.receive_once(wait_s=5) == 1
    counted = Counter({name: n for name, n in calls.items() if name not in BY_THE_CLOCK})
    assert counted.total() + len(endpoint.accepted) <= MOST_CALLS, counted
    assert studio.jobs.get(maker, job.id).status is JobStatus.SUCCEEDED
