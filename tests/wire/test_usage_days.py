"""Tests of a user's daily usage: each job is counted once, on its day, despite repeats and lost answers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from services.build import Studio
from services.records import JobRequest, User
from tests.endpoint import ScriptedEndpoint
from tests.faults.lost import LostAnswers
from tests.wire.conftest import real_clients


def test_the_days_of_the_month_show_pictures_and_charges(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User, other: User
) -> None:
    today = datetime.now(UTC)
    job = studio.jobs.submit(maker, JobRequest(prompt="a red apple", count=2))
    canceled = studio.jobs.submit(maker, JobRequest(prompt="a rocket", count=3))
    endpoint.complete(endpoint.accepted[0])
    for _ in range(3):
        studio.completion.finish(maker.id, job.id, 1)
    studio.jobs.cancel(maker, canceled.id)
    done = studio.jobs.get(maker, job.id)
    usage, days = studio.ledger.month(maker, today)
    assert usage == studio.ledger.usage(maker)
    assert [day.day.day for day in days] == list(range(1, today.day + 1))
    assert (days[-1].images, days[-1].cost_usd) == (2, pytest.approx(done.cost_usd, abs=1e-6))
    assert days[-1].cost_usd == pytest.approx(usage.spent_month_usd, abs=1e-6)
    assert sum(day.images for day in studio.ledger.month(other, today)[1]) == 0


def test_a_lost_answer_does_not_count_a_day_twice(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User
) -> None:
    job = studio.jobs.submit(maker, JobRequest(prompt="a red apple"))
    endpoint.complete(endpoint.accepted[0])
    dynamodb: Any = real_clients(studio.settings).dynamodb
    with LostAnswers(dynamodb, "TransactWriteItems", times=1) as lost:
        studio.completion.finish(maker.id, job.id, 1)
    assert lost.fired, "the fault must have fired"
    [*_, today] = studio.ledger.month(maker, datetime.now(UTC))[1]
    done = studio.jobs.get(maker, job.id)
    assert today.images == 1 and today.cost_usd == pytest.approx(done.cost_usd, abs=1e-6)


def test_a_month_without_jobs_is_all_zeros(studio: Studio, maker: User) -> None:
    usage, days = studio.ledger.month(maker, datetime(2026, 2, 28, tzinfo=UTC))
    assert usage.images_today == 0 and len(days) == 28
    assert not any(day.images or day.cost_usd for day in days)
