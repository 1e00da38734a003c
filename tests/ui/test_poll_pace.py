"""How often a page polls its jobs, and that the browser gets the interval."""

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


def test_a_job_is_looked_at_often_in_its_first_seconds() -> None:
    assert poll_s([live(eta_s=600.0)], EARLY) == POLL_S


def test_a_job_that_is_long_on_its_way_is_looked_at_less_often() -> None:
    assert poll_s([live(eta_s=NEAR_END_S + 0.1)], LATE) == LONG_POLL_S


def test_a_job_of_which_nobody_knows_when_it_ends_is_looked_at_less_often() -> None:
    assert poll_s([live(status=JobStatus.QUEUED)], LATE) == LONG_POLL_S


def test_a_job_near_its_end_is_looked_at_often_again() -> None:
    assert poll_s([live(eta_s=NEAR_END_S)], LATE) == POLL_S


def test_a_job_that_waits_for_its_model_is_looked_at_seldom() -> None:
    waiting = made_job(status=JobStatus.QUEUED, run_by=LATE + timedelta(hours=1))
    assert poll_s([live(job=waiting, status=JobStatus.QUEUED)], EARLY) == HELD_POLL_S


def test_the_job_that_needs_it_soonest_sets_the_pace() -> None:
    assert poll_s([live(eta_s=600.0), live(eta_s=1.0)], LATE) == POLL_S


def test_a_crowd_looks_less_often_and_each_page_alike() -> None:
    poll_budget = PollBudget()
    assert poll_budget.min_interval_s("page 0", 0.0) == STEP_S
    paces = [poll_budget.min_interval_s(f"page {n}", 0.1) for n in range(1, 100)]
    assert paces == sorted(paces) and paces[-1] == 3.0
    assert poll_budget.min_interval_s("page 0", 1.0) == 3.0
    assert poll_s([live(eta_s=1.0)], LATE, min_interval_s=3.0) == 3.0
    assert poll_s([live(eta_s=1.0)], LATE, min_interval_s=STEP_S) == POLL_S


def test_pages_that_were_closed_are_not_of_the_crowd() -> None:
    poll_budget = PollBudget()
    for n in range(100):
        poll_budget.min_interval_s(f"page {n}", 0.0)
    assert poll_budget.min_interval_s("page 7", AWAY_S + 0.1) == STEP_S


def test_only_a_running_fragment_can_be_given_an_interval() -> None:
    with pytest.raises(RuntimeError):
        set_interval(1.0)


@pytest.fixture
def intervals(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, float]]:
    """What the browser received: the fragment and the seconds between two of its runs."""
    told: list[tuple[str, float]] = []
    enqueue = ScriptRunContext.enqueue

    def listen(context: ScriptRunContext, message: ForwardMsg) -> None:
        if message.HasField("auto_rerun"):
            told.append((message.auto_rerun.fragment_id, message.auto_rerun.interval))
        enqueue(context, message)

    monkeypatch.setattr(ScriptRunContext, "enqueue", listen)
    return told


def test_the_browser_gets_a_changed_interval_once_and_with_every_run_of_the_page(
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
