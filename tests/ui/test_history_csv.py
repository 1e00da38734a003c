"""Tests of the CSV export of the history: all jobs, complete texts, and no formulas."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from datetime import UTC, date, datetime

import pytest
from streamlit.testing.v1 import AppTest

from app.i18n.texts import speaking
from app.ui.history import history_csv as exported
from app.ui.history.history_csv import COLUMNS, history_csv
from app.ui.history.job_filter import JobFilter
from services.build import Studio
from services.records import Job, JobFailure, JobStatus, Page, User
from tests.unit.made import SPEC, made_job


def rows(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline="")))


def listing(*jobs: Job) -> Callable[..., Page[Job]]:
    """Return a function that lists the jobs in pages of two."""

    def page(*, limit: int, after: str | None, statuses: frozenset[JobStatus] | None) -> Page[Job]:
        begin = int(after or 0)
        found = [job for job in jobs[begin : begin + 2] if statuses is None or job.status in statuses]
        following = begin + 2
        return Page(items=tuple(found), next=str(following) if following < len(jobs) else None)

    return page


def test_the_export_contains_all_pages_and_complete_texts() -> None:
    long = "a red apple, " * 100 + 'with "quotes",\na new line and an ümlaut'
    jobs = [made_job(spec=SPEC.model_copy(update={"prompt": long, "seed": seed})) for seed in range(5)]
    found = rows(history_csv(listing(*jobs), JobFilter()))
    assert tuple(found[0]) == COLUMNS
    assert [row["seed"] for row in found] == ["0", "1", "2", "3", "4"]
    assert {row["prompt"] for row in found} == {long}


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"])
def test_a_text_that_a_spreadsheet_would_execute_is_quoted(text: str) -> None:
    [row] = rows(history_csv(listing(made_job(spec=SPEC.model_copy(update={"prompt": text}))), JobFilter()))
    assert row["prompt"] == "'" + text


def test_a_failed_job_has_its_reason_and_prices_use_no_exponent() -> None:
    failed = made_job(
        status=JobStatus.FAILED,
        failure=JobFailure(code="model_crashed", message="The model crashed."),
        cost_usd=0.0,
    )
    [row] = rows(history_csv(listing(failed), JobFilter()))
    assert (row["status"], row["error_code"], row["error"]) == (
        "failed",
        "model_crashed",
        "The model crashed.",
    )
    assert row["cost_usd"] == "0.0"
    assert "e" not in row["estimated_cost_usd"]


def test_the_export_respects_the_filter_and_the_row_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = (
        made_job(
            created_at=datetime(2026, month, 1, tzinfo=UTC), spec=SPEC.model_copy(update={"seed": month})
        )
        for month in (1, 6)
    )
    wanted = JobFilter(since=date(2026, 3, 1))
    assert [row["seed"] for row in rows(history_csv(listing(new, old), wanted))] == ["6"]
    monkeypatch.setattr(exported, "MOST_ROWS", 1)
    assert len(rows(history_csv(listing(new, old), JobFilter()))) == 1


def test_the_page_offers_the_export_once_there_are_jobs(
    open_page: Callable[..., AppTest], draw: Callable[..., Job], studio: Studio, maker: User
) -> None:
    at = open_page("app/pages/history.py")
    assert not at.get("download_button")
    job = draw("a red apple")
    [button] = open_page("app/pages/history.py").get("download_button")
    assert button.proto.label == "Export CSV"
    [row] = rows(history_csv(lambda **asked: studio.jobs.list(maker, **asked), JobFilter()))
    assert (row["job"], row["prompt"], row["status"]) == (job.id, "a red apple", "succeeded")


def test_the_export_has_the_form_of_the_readers_language() -> None:
    job = made_job(spec=SPEC.model_copy(update={"guidance": 4.5}), cost_usd=0.00000125)
    for language, parted, guidance, cost in (
        ("en", ",", "4.5", "0.00000125"),
        ("de", ";", "4,5", "0,00000125"),
    ):
        with speaking(language):
            text = history_csv(listing(job), JobFilter()).decode("utf-8-sig")
        [row] = csv.DictReader(io.StringIO(text, newline=""), delimiter=parted)
        assert (row["guidance"], row["cost_usd"], row["job"]) == (guidance, cost, job.id)
