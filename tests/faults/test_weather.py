"""Tests that a bad network loses no job, makes none twice, and charges none twice."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar

import pytest
from botocore.retries.standard import ExponentialBackoff

from services.aws.session import Clients
from services.aws.table import Table
from services.build import Studio
from services.clock import now
from services.errors import IdempotencyInFlight, StudioError
from services.jobs.dispatch import CHECK_S
from services.records import Job, JobRequest, JobStatus, User
from services.store import keys
from services.store.spend import SpendStore
from services.worker import Worker
from tests.endpoint import ScriptedEndpoint
from tests.faults.weather import FAULTS, Weather

JOBS = 20
SHARES = (0.12, 0.17)
TRIES = 60
# Seeds of `make test`, and those of `make test-all`.
SEEDS = (1, 2, *(pytest.param(seed, marks=pytest.mark.rare) for seed in range(3, 11)))
# Between two looks of the sweeper at a job; all of them together are shorter than a job's time.
STEP = timedelta(seconds=CHECK_S + 10)
T = TypeVar("T")


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch, studio: Studio) -> None:
    """Retries and redeliveries come at once."""
    monkeypatch.setattr(ExponentialBackoff, "delay_amount", lambda *_: 0)
    give_back = studio.results_queue.give_back
    monkeypatch.setattr(
        studio.results_queue, "give_back", lambda message, delay_s: give_back(message, delay_s=0)
    )


class SweepersClock:
    """The time by the sweeper's clock, which goes faster."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        return now() + self.ahead


def until_answered(work: Callable[[], T]) -> T:
    """Repeats a call as a client does whose request failed in a way that may pass."""
    for _ in range(TRIES):
        try:
            return work()
        except StudioError as error:
            if not error.retryable and not isinstance(error, IdempotencyInFlight):
                raise
    raise AssertionError("never answered")


@pytest.mark.parametrize("seed", SEEDS)
def test_a_bad_network_loses_and_doubles_nothing(
    studio: Studio,
    clients: Clients,
    endpoint: ScriptedEndpoint,
    worker: Worker,
    maker: User,
    cloud: Any,
    monkeypatch: pytest.MonkeyPatch,
    seed: int,
) -> None:
    chance, clock = random.Random(seed), SweepersClock()
    monkeypatch.setattr("services.jobs.sweep.now", clock.now)
    sqs = cloud.client("sqs")
    answered = 0

    def go_on() -> None:
        """The endpoint draws what it accepted, some notifications come twice or never, and the worker works."""
        nonlocal answered
        for invocation in endpoint.accepted[answered:]:
            message = endpoint.complete(invocation)
            for _ in range(chance.choice((0, 1, 1, 1, 2))):
                sqs.send_message(QueueUrl=studio.settings.results_queue_url, MessageBody=message)
        answered = len(endpoint.accepted)
        clock.ahead += STEP
        for work in (lambda: worker.receive_once(wait_s=0), studio.sweeper.sweep):
            try:
                work()
            except StudioError as error:
                assert error.retryable

    with Weather(clients, seed=seed, share=SHARES[seed % 2]) as weather:
        made: list[Job] = []
        for number in range(JOBS):
            request = JobRequest(prompt="a red apple", seed=number)
            submit = partial(studio.jobs.submit, maker, request, idempotency_key=f"n{number}")
            made.append(until_answered(submit))
            if chance.random() < 0.4:
                go_on()
        for _ in range(TRIES):
            go_on()
            jobs = until_answered(lambda: studio.jobs.list(maker, limit=100).items)
            if all(job.status.terminal for job in jobs):
                break
    assert set(weather.fired) == set(FAULTS) and weather.fired.total() > 20, weather.fired
    print(f"seed {seed}: {weather.fired.total()} of {weather.calls} calls disturbed: {dict(weather.fired)}")
    for _ in range(5):
        go_on()

    jobs = studio.jobs.list(maker, limit=100).items
    assert {job.id for job in jobs} == {job.id for job in made} and len(made) == JOBS
    assert [job.status for job in jobs] == [JobStatus.SUCCEEDED] * JOBS
    assert sorted(image.job_id for image in studio.images.list(maker, limit=100).items) == sorted(
        job.id for job in jobs
    )
    spent = sum(round((job.cost_usd or 0) * 1e6) for job in jobs)
    usage = studio.ledger.usage(maker)
    assert (usage.open_jobs, usage.images_today, round(usage.spent_month_usd * 1e6)) == (0, JOBS, spent)
    month = SpendStore(Table(cloud.client("dynamodb"), studio.settings.table)).read(jobs[0].created_at)
    assert month.spent == spent
    assert month.spent + month.free == round(studio.settings.studio_monthly_usd * 1e6)
    versions = cloud.client("s3").list_object_versions(
        Bucket=studio.settings.images_bucket, Prefix=keys.images_prefix(maker.id)
    )
    assert len(versions["Versions"]) == 2 * JOBS
