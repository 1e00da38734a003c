"""Tests of how often a page polls its jobs and of sending the interval to the browser."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.runtime.scriptrunner_utils.script_run_context import ScriptRunContext
from streamlit.testing.v1 import AppTest

from app.streamlit_internals.fragment_interval import set_interval
from app.ui.feed import poll_interval
from app.ui.feed.poll_interval import (
    AWAY_S,
    HELD_POLL_S,
    LONG_AFTER_S,
    LONG_POLL_S,
    NEAR_END_S,
    POLL_S,
    STEP_S,
    PollBudget,
    poll_s,
)
from services.build import Studio
from services.records import JobRequest, JobStatus, LiveJob, User
from tests.unit.made import made_job

JOB = made_job()
EARLY = JOB.created_at + timedelta(seconds=LONG_AFTER_S - 1)
LATE = JOB.created_at + timedelta(seconds=LONG_AFTER_S)


def live(**changes: Any) -> LiveJob:
    return LiveJob(**{"job": JOB, "status": JobStatus.PROCESSING, **changes})


def test_a_job_is_polled_often_in_its_first_seconds() -> None:
    assert poll_s([live(eta_s=600.0)], EARLY) == POLL_S


def test_a_job_with_a_distant_end_is_polled_less_often() -> None:
    assert poll_s([live(eta_s=NEAR_END_S + 0.1)], LATE) == LONG_POLL_S


def test_a_job_with_an_unknown_end_is_polled_less_often() -> None:
    assert poll_s([live(status=JobStatus.QUEUED)], LATE) == LONG_POLL_S


def test_a_job_near_its_end_is_polled_often() -> None:
    assert poll_s([live(eta_s=NEAR_END_S)], LATE) == POLL_S


def test_a_job_that_waits_for_its_model_is_polled_rarely() -> None:
    waiting = made_job(status=JobStatus.QUEUED, run_by=LATE + timedelta(hours=1))
    assert poll_s([live(job=waiting, status=JobStatus.QUEUED)], EARLY) == HELD_POLL_S


def test_the_job_with_the_shortest_interval_sets_the_pace() -> None:
    assert poll_s([live(eta_s=600.0), live(eta_s=1.0)], LATE) == POLL_S


def test_many_open_pages_poll_less_often_at_the_same_interval() -> None:
    poll_budget = PollBudget()
    assert poll_budget.min_interval_s("page 0", 0.0) == STEP_S
    paces = [poll_budget.min_interval_s(f"page {n}", 0.1) for n in range(1, 100)]
    assert paces == sorted(paces) and paces[-1] == 3.0
    assert poll_budget.min_interval_s("page 0", 1.0) == 3.0
    assert poll_s([live(eta_s=1.0)], LATE, min_interval_s=3.0) == 3.0
    assert poll_s([live(eta_s=1.0)], LATE, min_interval_s=STEP_S) == POLL_S


def test_closed_pages_do_not_count_for_the_interval() -> None:
    poll_budget = PollBudget()
    for n in range(100):
        poll_budget.min_interval_s(f"page {n}", 0.0)
    assert poll_budget.min_interval_s("page 7", AWAY_S + 0.1) == STEP_S


def test_only_a_running_fragment_can_be_given_an_interval() -> None:
    with pytest.raises(RuntimeError):
        set_interval(1.0)


@pytest.fixture
def intervals(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, float]]:
    """The messages the browser received: the fragment and its interval in seconds."""
    told: list[tuple[str, float]] = []
    enqueue = ScriptRunContext.enqueue

    def listen(context: ScriptRunContext, message: ForwardMsg) -> None:
        if message.HasField("auto_rerun"):
            told.append((message.auto_rerun.fragment_id, message.auto_rerun.interval))
        enqueue(context, message)

    monkeypatch.setattr(ScriptRunContext, "enqueue", listen)
    return told


def test_the_browser_gets_the_interval_with_every_page_run_and_after_a_change(
    open_page: Callable[..., AppTest],
    studio: Studio,
    maker: User,
    intervals: list[tuple[str, float]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    at = open_page()
    assert intervals == []
    studio.jobs.submit(maker, JobRequest(prompt="a red apple"))
    at.session_state["feed"] = None
    at.run()
    (fragment, first), *more = intervals
    assert (first, more) == (POLL_S, [])

    monkeypatch.setattr(poll_interval, "LONG_AFTER_S", 0.0)
    monkeypatch.setattr(poll_interval, "NEAR_END_S", -1.0)
    at.run()
    assert intervals[1:] == [(fragment, POLL_S), (fragment, LONG_POLL_S)]
    at.run()
    assert intervals[3:] == [(fragment, LONG_POLL_S)]
