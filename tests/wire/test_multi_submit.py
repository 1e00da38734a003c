"""Tests of submitting several jobs at once: all are checked first, each is sent once, partial failures are reported."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from services.aws.session import Clients
from services.build import Studio, build
from services.errors import InvalidRequest, LimitReached, Moderated, Unavailable
from services.records import JobRequest, User
from services.settings import Settings
from tests.endpoint import ScriptedEndpoint
from tests.faults.lost import LostAnswers
from tests.wire.conftest import real_clients

FRUIT = tuple(
    JobRequest(prompt=f"a {what}", seed=7, count=2) for what in ("pear", "plum", "fig", "lemon", "lime")
)


@pytest.fixture
def clients(settings: Settings, endpoint: ScriptedEndpoint) -> Clients:
    return replace(real_clients(settings), sagemaker=endpoint, sagemaker_runtime=endpoint)


@pytest.fixture
def tight(settings: Settings, clients: Clients) -> Iterator[Studio]:
    """A studio that allows three open jobs per user."""
    studio = build(settings.model_copy(update={"user_open_jobs": 3}), clients)
    yield studio
    studio.close()


def prompts(studio: Studio, user: User) -> list[str]:
    return [job.spec.prompt for job in studio.jobs.list(user).items]


def test_each_request_becomes_a_job_in_order_and_a_repeat_creates_no_duplicates(
    studio: Studio, maker: User
) -> None:
    batch = studio.multi_submit.submit(maker, FRUIT, key="press")
    assert batch.refused is None
    assert [job.spec.prompt for job in batch.sent] == [request.prompt for request in FRUIT]
    again = studio.multi_submit.submit(maker, FRUIT, key="press", again=True)
    assert [job.id for job in again.sent] == [job.id for job in batch.sent]
    assert len(prompts(studio, maker)) == 5
    assert studio.ledger.usage(maker).images_today == 10


def test_the_price_of_several_jobs_is_their_sum_with_one_wake(studio: Studio) -> None:
    one, all_five = studio.jobs.estimate(FRUIT[0]), studio.multi_submit.estimate(FRUIT)
    assert all_five.cost_usd == pytest.approx(5 * one.cost_usd)
    assert all_five.run_s == pytest.approx(5 * one.run_s)
    assert all_five.at_most_usd == pytest.approx(5 * one.at_most_usd)
    assert all_five.cold_start_s == one.cold_start_s


@pytest.mark.parametrize(
    ("bad", "error"),
    [("a naked child", Moderated), ("", InvalidRequest), ("x" * 2001, InvalidRequest)],
)
def test_one_refused_prompt_prevents_the_whole_submission(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User, bad: str, error: type[InvalidRequest]
) -> None:
    requests = [*FRUIT, JobRequest(prompt=bad)]
    batch = studio.multi_submit.submit(maker, requests, key="press")
    assert batch.sent == () and batch.refused is not None
    assert isinstance(batch.refused.error, error)
    assert batch.refused.request.prompt == bad
    assert prompts(studio, maker) == [] and endpoint.accepted == []


def test_more_jobs_than_the_limits_allow_are_refused_before_the_first(tight: Studio, maker: User) -> None:
    batch = tight.multi_submit.submit(maker, FRUIT, key="press")
    assert batch.sent == () and batch.refused is not None
    assert "These 5 prompts (10 pictures) are too many at once: of 3 open jobs you have 0." in str(
        batch.refused.error
    )
    assert prompts(tight, maker) == []


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        ({"user_daily_images": 9}, "of 9 pictures today you have made 0"),
        ({"user_monthly_usd": 1e-9}, "of $0.00 this month you have spent $0.00"),
    ],
)
def test_quota_and_budget_are_checked_before_the_first_job(
    settings: Settings, clients: Clients, maker: User, limit: dict[str, float], words: str
) -> None:
    studio = build(settings.model_copy(update=limit), clients)
    try:
        batch = studio.multi_submit.submit(maker, FRUIT, key="press")
        assert batch.refused is not None and words in str(batch.refused.error)
        assert prompts(studio, maker) == []
    finally:
        studio.close()


def test_a_limit_reached_midway_keeps_the_sent_jobs_and_a_repeat_sends_the_rest(
    tight: Studio, maker: User
) -> None:
    # A repeated submission is not checked in advance, so it reaches the limit midway.
    batch = tight.multi_submit.submit(maker, FRUIT, key="press", again=True)
    assert [job.spec.prompt for job in batch.sent] == ["a pear", "a plum", "a fig"]
    assert batch.refused is not None and isinstance(batch.refused.error, LimitReached)
    assert batch.refused.request.prompt == "a lemon"
    assert len(tight.jobs.open(maker)) == 3
    for job in batch.sent[:2]:
        tight.jobs.cancel(maker, job.id)
    rest = tight.multi_submit.submit(maker, FRUIT, key="press", again=True)
    assert rest.refused is None and len(rest.sent) == 5
    assert [job.id for job in rest.sent[:3]] == [job.id for job in batch.sent]
    assert sorted(prompts(tight, maker)) == sorted(request.prompt for request in FRUIT)


def test_a_lost_answer_midway_creates_no_duplicates(studio: Studio, clients: Clients, maker: User) -> None:
    with LostAnswers(clients.dynamodb, "TransactWriteItems", times=1, skip=2) as lost:
        batch = studio.multi_submit.submit(maker, FRUIT, key="press")
    assert lost.fired == 1
    if batch.refused is not None:
        assert isinstance(batch.refused.error, Unavailable)
        batch = studio.multi_submit.submit(maker, FRUIT, key="press", again=True)
    assert len(batch.sent) == 5
    assert sorted(prompts(studio, maker)) == sorted(request.prompt for request in FRUIT)


def test_braces_in_a_submitted_prompt_are_plain_characters(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User
) -> None:
    job = studio.jobs.submit(maker, JobRequest(prompt="{red|blue} __animal__"))
    assert job.spec.prompt == "{red|blue} __animal__"
    assert endpoint.accepted[-1].payload["prompt"] == "{red|blue} __animal__"
    assert len(prompts(studio, maker)) == 1
