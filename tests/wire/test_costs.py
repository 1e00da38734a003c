"""Tests that the cost report shows the ledger's counts by model and day, counted once, to admins only."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from services.aws.table import Table, Update
from services.backends.cold_starts import ColdStartCounter
from services.build import Studio, build
from services.clock import now
from services.errors import NotAllowed
from services.records import EndpointInfo, EndpointState, JobRequest, Role, User
from services.store.endpoint_records import EndpointRecords
from services.store.usage_days import usage_key
from services.worker import Worker
from tests.endpoint import ScriptedEndpoint
from tests.faults.lost import LostAnswers
from tests.wire.conftest import real_clients

ADMIN = User(id="c" * 32, email="admin@example.com", role=Role.ADMIN)


@pytest.fixture
def table(studio: Studio, cloud: Any) -> Table:
    return Table(cloud.client("dynamodb"), studio.settings.table)


@pytest.fixture
def worker(studio: Studio) -> Worker:
    return Worker(studio, studio.results_queue, studio.metrics)


def draw(studio: Studio, endpoint: ScriptedEndpoint, worker: Worker, user: User, **asked: Any) -> None:
    studio.jobs.submit(user, JobRequest(prompt="a red apple", **asked))
    notice = endpoint.complete(endpoint.accepted[-1])
    for _ in range(3):
        worker.handle(notice)


def test_jobs_pictures_seconds_and_costs_are_counted_once(
    studio: Studio, endpoint: ScriptedEndpoint, worker: Worker, maker: User
) -> None:
    for count in (1, 2, 4):
        draw(studio, endpoint, worker, maker, count=count)
    report = studio.costs.report(ADMIN, days=7)
    [row] = report.models
    assert (row.model, row.jobs, row.images, row.gpu_s) == ("pocket", 3, 7, 3.0)
    spent = sum(job.cost_usd or 0 for job in studio.jobs.list(maker).items)
    assert row.cost_usd == pytest.approx(spent, abs=2e-6)
    assert row.price_error is not None and row.time_error is not None
    assert [(day.day, day.model) for day in report.days] == [(now().date(), "pocket")]


def test_the_report_omits_days_outside_the_span_and_includes_withdrawn_models(
    studio: Studio, table: Table
) -> None:
    for back, model in ((0, "gone"), (6, "gone"), (7, "gone"), (29, "pocket"), (30, "pocket")):
        key = usage_key(now() - timedelta(days=back), model, 1)
        table.update(Update(key=key, add={"jobs": 1, "cost_micros": 10}))
    week, month = (studio.costs.report(ADMIN, days=days) for days in (7, 30))
    assert [(row.model, row.jobs) for row in week.models] == [("gone", 2)]
    assert [(row.model, row.jobs) for row in month.models] == [("gone", 3), ("pocket", 1)]
    assert month.total.jobs == 4 and month.total.cost_usd == pytest.approx(40e-6)


def test_only_admins_get_the_report(studio: Studio, maker: User) -> None:
    with pytest.raises(NotAllowed):
        studio.costs.report(maker, days=7)


def cold_starts(studio: Studio) -> int:
    return studio.costs.report(ADMIN, days=7).total.cold_starts


def test_a_wake_is_counted_once_by_several_workers_and_checks(
    studio: Studio, endpoint: ScriptedEndpoint
) -> None:
    clients = replace(real_clients(studio.settings), sagemaker=endpoint, sagemaker_runtime=endpoint)
    studios = [studio, build(studio.settings, clients), build(studio.settings, clients)]
    try:
        for instances in (1, 0, 0, 1, 1, 0, 1):
            endpoint.instances = instances
            for _ in range(2):
                with ThreadPoolExecutor(3) as pool:
                    list(pool.map(lambda each: each.cold_starts.look(), studios))
    finally:
        for other in studios[1:]:
            other.close()
    # The endpoint was awake at the first check, which counts as no wake.
    assert cold_starts(studio) == 2


def test_a_wake_with_a_lost_answer_is_counted_once(studio: Studio, endpoint: ScriptedEndpoint) -> None:
    endpoint.instances = 0
    studio.cold_starts.look()
    endpoint.instances = 1
    with LostAnswers(real_clients(studio.settings).dynamodb, "TransactWriteItems", times=1) as lost:
        studio.cold_starts.look()
    studio.cold_starts.look()
    assert lost.fired == 1
    assert cold_starts(studio) == 1


def test_an_outdated_state_report_changes_nothing(studio: Studio, table: Table) -> None:
    def look(state: EndpointState, seconds: int, by: ColdStartCounter) -> None:
        at = now() + timedelta(seconds=seconds)
        by.note(EndpointInfo(model="pocket", state=state, instances=1, read_at=at))

    first, second = (ColdStartCounter(EndpointRecords(table), studio.endpoints) for _ in range(2))
    look(EndpointState.COLD, 0, first)
    look(EndpointState.READY, 10, first)
    look(EndpointState.COLD, 5, second)
    look(EndpointState.READY, 11, second)
    look(EndpointState.UNKNOWN, 12, first)
    look(EndpointState.STARTING, 13, first)
    assert cold_starts(studio) == 1
