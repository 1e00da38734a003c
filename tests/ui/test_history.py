"""Tests of the history: the table, its filters, retries, and the deletion of everything."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import pytest
from streamlit.testing.v1 import AppTest

from app.ui.history import erase_all
from app.ui.history.history_table import as_frame
from app.ui.history.job_details import job_details
from app.ui.history.job_filter import MOST_READ, READ_AT_ONCE, JobFilter, find_jobs
from services.build import Studio
from services.errors import NotFound
from services.jobs.drafts import in_group, plan
from services.records import Job, JobRequest, JobStatus, Page, User
from services.store.keys import input_key
from tests.cloud import EmbeddedCloud
from tests.endpoint import ScriptedEndpoint, picture
from tests.ui.conftest import words

HISTORY = "app/pages/history.py"


def test_the_table_lists_jobs_newest_first(
    open_page: Callable[..., AppTest], draw: Callable[..., Job]
) -> None:
    draw("a red apple")
    draw("a rocket")
    [table] = open_page(HISTORY).dataframe
    assert list(table.value["Prompt"]) == ["a rocket", "a red apple"]
    assert list(table.value["State"]) == ["Done", "Done"]


def test_a_failed_job_shows_the_reason_and_is_retried_with_one_click(
    open_page: Callable[..., AppTest],
    in_dialog: Callable[..., AppTest],
    studio: Studio,
    endpoint: ScriptedEndpoint,
    maker: User,
) -> None:
    asked = JobRequest(prompt="a red apple", seed=7, count=2, image=picture(64, 64, 3), strength=0.4)
    job = studio.jobs.submit(maker, asked)
    endpoint.fail(endpoint.accepted[-1])
    failed = studio.completion.fail(maker.id, job.id, 1, "it broke")
    assert failed is not None and failed.failure is not None
    [table] = open_page(HISTORY).dataframe
    assert list(table.value["Result"]) == [failed.failure.message]
    at = in_dialog(job_details, failed).run()
    assert "The model" in words(at)
    at.button(key="details_retry").click().run()
    [again] = studio.jobs.open(maker)
    assert again.spec == job.spec and again.id != job.id
    first, second = (invocation.payload for invocation in endpoint.accepted[-2:])
    assert {**first, "job": None} == {**second, "job": None}


def test_retried_drafts_take_their_place_in_their_group(
    in_dialog: Callable[..., AppTest], studio: Studio, maker: User
) -> None:
    asked = JobRequest(prompt="a red apple", seed=7, steps=20)
    [request] = in_group(plan(studio.catalogue.card("pocket"), [asked], 4), "press")
    canceled = studio.jobs.cancel(maker, studio.jobs.submit(maker, request).id)
    at = in_dialog(job_details, canceled).run()
    at.button(key="details_retry").click().run()
    [again] = studio.jobs.open(maker)
    assert again.draft == canceled.draft is not None
    assert again.spec == canceled.spec and again.id != canceled.id


def test_a_retry_without_its_source_picture_is_refused_with_a_message(
    in_dialog: Callable[..., AppTest], studio: Studio, maker: User, cloud_process: EmbeddedCloud
) -> None:
    job = studio.jobs.submit(maker, JobRequest(prompt="a red apple", image=picture(64, 64, 3)))
    canceled = studio.jobs.cancel(maker, job.id)
    cloud_process.client("s3").delete_object(
        Bucket=studio.settings.inputs_bucket, Key=input_key(maker.id, job.id, "image")
    )
    at = in_dialog(job_details, canceled).run()
    at.button(key="details_retry").click().run()
    assert "no longer stored" in words(at) and studio.jobs.open(maker) == ()


def test_a_job_with_pictures_has_no_retry_button(
    in_dialog: Callable[..., AppTest], draw: Callable[..., Job]
) -> None:
    at = in_dialog(job_details, draw("a red apple")).run()
    assert "details_retry" not in {button.key for button in at.button}


def test_the_state_filter_hides_other_jobs(
    open_page: Callable[..., AppTest], draw: Callable[..., Job], studio: Studio, maker: User
) -> None:
    draw("a red apple")
    studio.jobs.cancel(maker, studio.jobs.submit(maker, JobRequest(prompt="a rocket")).id)
    at = open_page(HISTORY)
    at.multiselect(key="history_status").set_value([JobStatus.CANCELED]).run()
    assert list(at.dataframe[0].value["Prompt"]) == ["a rocket"]


def test_a_date_range_without_jobs_shows_a_message(
    open_page: Callable[..., AppTest], draw: Callable[..., Job]
) -> None:
    draw("a red apple")
    at = open_page(HISTORY)
    at.date_input(key="history_until").set_value(date(2020, 1, 1)).run()
    assert not at.dataframe and "No jobs here." in words(at)


def test_everything_is_deleted_after_confirmation_and_a_receipt_is_shown(
    open_page: Callable[..., AppTest],
    in_dialog: Callable[..., AppTest],
    draw: Callable[..., Job],
    studio: Studio,
    maker: User,
) -> None:
    job = draw("a red apple", count=2)
    at = in_dialog(erase_all.ask_and_erase).run()
    at.text_input(key="confirm_all").set_value(" Delete Everything ")
    at.button(key="sure_all").click().run()
    with pytest.raises(NotFound):
        studio.jobs.get(maker, job.id)
    receipt = at.session_state["receipt"]
    assert (receipt.jobs, receipt.images) == (1, 2)
    after = open_page(HISTORY)
    after.session_state["receipt"] = receipt
    assert "Deleted 1 job, 2 pictures and " in words(after.run())
    after.session_state["receipt"] = receipt.model_copy(update={"shares": 2, "texts": 1})
    assert "2 pictures, 2 shared links, 1 list, template or star and " in words(after.run())


def test_deletion_with_the_wrong_confirmation_text_is_refused(
    in_dialog: Callable[..., AppTest], draw: Callable[..., Job], studio: Studio, maker: User
) -> None:
    job = draw("a red apple")
    at = in_dialog(erase_all.ask_and_erase).run()
    for typed in ("delete", ""):
        at.text_input(key="confirm_all").set_value(typed)
        at.button(key="sure_all").click().run()
        assert "Type the words “delete everything” first." in words(at)
    assert studio.jobs.get(maker, job.id).id == job.id


def test_a_hostile_prompt_is_plain_text_in_the_table(draw: Callable[..., Job]) -> None:
    frame = as_frame([draw('=HYPERLINK("http://evil.example") \u202e![x](http://evil.example/x.png)')])
    assert frame["Prompt"][0] == '=HYPERLINK("http://evil.example") ⟨RLO⟩![x](http://evil.example/x.png)'


def many(draw: Callable[..., Job]) -> list[Job]:
    """Return 250 hourly copies of a real job."""
    job = draw("a red apple")
    start = datetime(2026, 3, 1, tzinfo=UTC)
    return [job.model_copy(update={"created_at": start - timedelta(hours=n)}) for n in range(250)]


def lister(jobs: list[Job], reads: list[int]) -> Callable[..., Page[Job]]:
    def list_jobs(*, limit: int, after: str | None, statuses: object) -> Page[Job]:
        start = int(after or 0)
        reads.append(start)
        end = start + limit
        return Page(items=tuple(jobs[start:end]), next=str(end) if end < len(jobs) else None)

    return list_jobs


def test_a_filtered_list_is_read_until_the_page_is_full(draw: Callable[..., Job]) -> None:
    reads: list[int] = []
    wanted = JobFilter(until=date(2026, 2, 25))
    page = find_jobs(lister(many(draw), reads), wanted, after=None, limit=150)
    assert reads == [0, READ_AT_ONCE, 2 * READ_AT_ONCE]
    assert all(job.created_at.date() <= date(2026, 2, 25) for job in page.items) and page.next is None


def test_a_filtered_list_is_read_only_back_to_the_first_day(draw: Callable[..., Job]) -> None:
    reads: list[int] = []
    page = find_jobs(lister(many(draw), reads), JobFilter(since=date(2026, 2, 27)), after=None, limit=100)
    assert reads == [0]
    assert len(page.items) == 49 and page.next is None


def test_a_filter_without_matches_reads_a_bounded_number_of_jobs(draw: Callable[..., Job]) -> None:
    reads: list[int] = []
    jobs = many(draw) * 8
    page = find_jobs(lister(jobs, reads), JobFilter(model="no-such-model"), after=None, limit=100)
    assert page.items == () and page.next == str(MOST_READ)
    assert len(reads) == MOST_READ // READ_AT_ONCE


def test_a_price_too_small_to_show_differs_from_zero(draw: Callable[..., Job]) -> None:
    job = draw("a red apple")
    prices = [job.model_copy(update={"cost_usd": usd}) for usd in (0.000033, 0.0, 0.0123, None)]
    shown = as_frame(prices)["Price"]
    assert list(shown[:3]) == ["$0.000033", "$0", "$0.01"]
    assert shown.isna()[3]
