"""Tests that wake times are measured from jobs that waited for a wake, and used in estimates."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from app.ui.feed.job_card import progress_words
from services.aws.table import ConditionFailed, Table
from services.backends.wake_times import KEPT, wake_figures
from services.build import Studio, build
from services.errors import Unavailable
from services.records import Job, JobRequest, JobStatus, LiveJob, User
from services.store.endpoint_records import wakes_key
from services.worker import Worker
from tests.endpoint import ScriptedEndpoint
from tests.wire.conftest import real_clients

Draw = Callable[..., Job]


@pytest.fixture
def table(studio: Studio, cloud: Any) -> Table:
    return Table(cloud.client("dynamodb"), studio.settings.table)


@pytest.fixture
def draw(studio: Studio, endpoint: ScriptedEndpoint, maker: User, cloud: Any) -> Draw:
    """Draws a picture whose model began `took_s` after the invocation, with the endpoint asleep or awake."""
    worker = Worker(studio, studio.results_queue, studio.metrics)

    def drawn(took_s: float, *, queue_s: float = 0.0, asleep: bool = True) -> Job:
        endpoint.instances = 0 if asleep else 1
        studio.endpoints.refresh()
        job = studio.jobs.submit(maker, JobRequest(prompt="a red apple"))
        assert (job.estimate.cold_start_s > 0) is asleep
        assert job.invoked_at is not None
        began = (job.invoked_at + timedelta(seconds=took_s)).isoformat()
        body = json.dumps({"step": 1, "steps": 12, "started_at": began, "updated_at": began})
        invocation = endpoint.accepted[-1]
        cloud.client("s3").put_object(
            Bucket=studio.settings.outputs_bucket,
            Key=f"{invocation.prefix}/1.progress.json",
            Body=body.encode(),
        )
        notice = endpoint.complete(invocation, lambda answer: answer["timings"].update(queue_s=queue_s))
        for _ in range(2):  # SNS may deliver a message more than once.
            worker.handle(notice)
        done = studio.jobs.get(maker, job.id)
        assert done.status is JobStatus.SUCCEEDED
        return done

    return drawn


def noted(table: Table) -> list[float]:
    item = table.get(*wakes_key("pocket"))
    return [float(entry.partition(":")[2]) for entry in item["entries"]] if item else []


def test_only_jobs_that_woke_their_model_are_recorded_and_only_once(draw: Draw, table: Table) -> None:
    draw(9.0)
    draw(2.0, asleep=False)
    draw(30.0, queue_s=5.0)
    assert noted(table) == [9.0, 25.0]


def test_estimates_use_measured_wake_times_as_soon_as_there_are_enough(
    draw: Draw, studio: Studio, endpoint: ScriptedEndpoint, maker: User
) -> None:
    card_s = studio.catalogue.card("pocket").wake_s
    for took_s in (5.0, 7.0, 20.0):
        assert draw(took_s).estimate.cold_start_s == card_s
    # Another process, which reads the measured times again.
    clients = replace(real_clients(studio.settings), sagemaker=endpoint, sagemaker_runtime=endpoint)
    later = build(studio.settings, clients)
    try:
        later.endpoints.refresh()
        job = later.jobs.submit(maker, JobRequest(prompt="a rocket"))
    finally:
        later.close()
    assert (job.estimate.cold_start_s, job.estimate.cold_start_p90_s) == (7.0, 20.0)
    shown = progress_words(LiveJob(job=job, status=JobStatus.STARTING))
    assert shown == "The model is waking up: 7 s in half of the cases, 20 s or less in 9 of 10"


def test_only_the_last_wakes_are_kept(draw: Draw, table: Table) -> None:
    key = wakes_key("pocket")
    old = [f"job{n}:{n}.00" for n in range(KEPT)]
    table.put({"PK": key[0], "SK": key[1], "entries": old})
    draw(99.0)
    assert noted(table) == [*range(1, KEPT), 99.0]


def test_concurrent_recordings_are_both_kept(
    draw: Draw, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    update, refused = Table.update, []

    def late(self: Table, change: Any) -> Any:
        if change.key == wakes_key("pocket") and not refused:
            table.put({"PK": change.key[0], "SK": change.key[1], "entries": ["another:4.00"]})
            try:
                return update(self, change)
            except ConditionFailed as exc:
                refused.append(exc)
                raise
        return update(self, change)

    monkeypatch.setattr(Table, "update", late)
    draw(9.0)
    assert len(refused) == 1
    assert noted(table) == [4.0, 9.0]


def test_a_wake_that_cannot_be_recorded_does_not_affect_the_job(
    draw: Draw, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    update, fired = Table.update, []

    def broken(self: Table, change: Any) -> Any:
        if change.key == wakes_key("pocket"):
            fired.append(change)
            raise Unavailable("DynamoDB does not answer.")
        return update(self, change)

    monkeypatch.setattr(Table, "update", broken)
    done = draw(9.0)
    assert fired and done.cost_usd is not None
    assert noted(table) == []


@pytest.mark.parametrize(
    ("seconds", "half", "most"),
    [([3, 1, 2], 2, 3), (list(range(1, 21)), 10, 18), ([5, 5, 5, 60], 5, 60)],
)
def test_the_percentiles_use_the_nearest_rank(seconds: list[float], half: float, most: float) -> None:
    times = wake_figures([f"job{n}:{s}" for n, s in enumerate(seconds)])
    assert times is not None
    assert (times.wakes, times.p50_s, times.p90_s) == (len(seconds), half, most)


def test_too_few_wakes_give_no_figures() -> None:
    assert wake_figures([]) is None
    assert wake_figures(["a:1", "b:2"]) is None
