"""Tests of the Create page: from a prompt to a running job, a picture, or an error message."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from app.state import form_values
from app.ui.common import idempotency
from app.ui.common.plain_text import as_label
from services.build import Studio
from services.records import Job, JobRequest, JobStatus, User
from services.worker import Worker
from tests.endpoint import ScriptedEndpoint
from tests.ui.conftest import words


def submit(at: AppTest, prompt: str) -> AppTest:
    at.text_area(key="g_prompt").set_value(prompt)
    at.button(key="generate").click()
    return at.run()


def test_a_new_maker_sees_example_prompts(open_page: Callable[..., AppTest]) -> None:
    at = open_page()
    assert "Your pictures will appear here." in words(at)
    at.button(key="example_a rocket").click().run()
    assert at.text_area(key="g_prompt").value == "a rocket"


def test_the_price_is_shown_before_a_prompt_is_typed(open_page: Callable[..., AppTest]) -> None:
    captions = [caption.value for caption in open_page().caption]
    assert any(("$" in caption and "bout" in caption) or "Under" in caption for caption in captions)


def test_a_click_submits_one_job_and_puts_it_into_the_url(
    open_page: Callable[..., AppTest], studio: Studio, maker: User
) -> None:
    at = submit(open_page(), "a red apple")
    jobs = studio.jobs.list(maker).items
    assert [job.spec.prompt for job in jobs] == ["a red apple"]
    assert at.query_params["job"] == jobs[0].id
    assert not at.button(key=f"cancel_{jobs[0].id}").disabled


def test_a_double_click_submits_one_job(
    open_page: Callable[..., AppTest], studio: Studio, maker: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Even on a slow machine, the second click counts as part of a double click.
    monkeypatch.setattr(idempotency, "DOUBLE_CLICK_S", 60.0)
    at = submit(open_page(), "a red apple")
    at.button(key="generate").click().run()
    assert len(studio.jobs.list(maker).items) == 1


def test_a_later_click_submits_another_job(
    open_page: Callable[..., AppTest], studio: Studio, maker: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idempotency, "DOUBLE_CLICK_S", 0.0)
    at = submit(open_page(), "a red apple")
    at.button(key="generate").click().run()
    assert len(studio.jobs.list(maker).items) == 2


def test_several_jobs_run_at_once(open_page: Callable[..., AppTest], studio: Studio, maker: User) -> None:
    at = submit(submit(open_page(), "a red apple"), "a rocket")
    for job in studio.jobs.list(maker).items:
        assert not at.button(key=f"cancel_{job.id}").disabled


def test_a_new_session_restores_the_running_job_and_its_prompt(
    open_page: Callable[..., AppTest], studio: Studio, maker: User
) -> None:
    job = studio.jobs.submit(maker, JobRequest(prompt="a red apple", count=3))
    at = open_page(query={"job": job.id})
    assert not at.button(key=f"cancel_{job.id}").disabled
    assert at.text_area(key="g_prompt").value == "a red apple"
    assert at.session_state["g_count"] == 3


def test_canceling_ends_the_job_without_a_charge(
    open_page: Callable[..., AppTest], studio: Studio, maker: User
) -> None:
    at = submit(open_page(), "a red apple")
    job = studio.jobs.list(maker).items[0]
    at.button(key=f"cancel_{job.id}").click().run()
    assert studio.jobs.get(maker, job.id).status is JobStatus.CANCELED
    assert "**Canceled**" in words(at) and "Nothing was charged." in words(at)


def test_a_failed_job_shows_the_reason_and_fills_the_form_for_a_retry(
    open_page: Callable[..., AppTest],
    studio: Studio,
    maker: User,
    endpoint: ScriptedEndpoint,
    worker: Worker,
) -> None:
    job = studio.jobs.submit(maker, JobRequest(prompt="a red apple"))
    worker.handle(endpoint.fail(endpoint.accepted[-1]))
    failure = studio.jobs.get(maker, job.id).failure
    at = open_page(query={"job": job.id})
    assert "**Failed**" in words(at)
    assert failure is not None and as_label(failure.message, 400) in words(at)
    at.button(key=f"retry_{job.id}").click().run()
    assert at.text_area(key="g_prompt").value == "a red apple"
    assert "**Failed**" not in words(at)


def test_finished_pictures_are_shown_with_the_prompt_as_plain_text(
    open_page: Callable[..., AppTest], draw: Callable[..., Job]
) -> None:
    draw("![x](http://evil.example/x.png) $x^2$")
    at = open_page()
    assert "![x](http://evil.example/x.png) $x^2$" in [text.value for text in at.text]
    assert not any("evil" in markdown.value for markdown in at.markdown)


def test_an_empty_prompt_is_refused_and_not_submitted(
    open_page: Callable[..., AppTest], studio: Studio, maker: User
) -> None:
    at = open_page()
    at.button(key="generate").click().run()
    assert any("The prompt is empty" in markdown.value for markdown in at.markdown)
    assert studio.jobs.list(maker).items == ()


def test_a_control_character_in_the_prompt_is_reported(open_page: Callable[..., AppTest]) -> None:
    at = submit(open_page(), "a red \x07 apple")
    assert any("control character" in markdown.value for markdown in at.markdown)


def test_a_moderated_prompt_is_refused_with_its_rule(
    open_page: Callable[..., AppTest], studio: Studio, maker: User
) -> None:
    at = submit(open_page(), "a naked child")
    assert studio.jobs.list(maker).items == ()
    [refusal] = [markdown.value for markdown in at.markdown if "rule" in markdown.value]
    assert "Found: “naked" in refusal


def test_an_identical_earlier_job_is_offered_free_and_can_be_declined(
    open_page: Callable[..., AppTest], studio: Studio, maker: User, draw: Callable[..., Job]
) -> None:
    earlier = draw("a red apple", seed=7)
    at = open_page()
    at.number_input(key="g_seed").set_value(7)
    submit(at, "a red apple")
    assert len(studio.jobs.list(maker).items) == 1
    at.button(key="draw_again").click().run()
    assert len(studio.jobs.list(maker).items) == 2
    assert at.query_params["job"] != earlier.id


def test_an_accepted_offer_shows_the_earlier_job_instead_of_drawing(
    open_page: Callable[..., AppTest], studio: Studio, maker: User, draw: Callable[..., Job]
) -> None:
    earlier = draw("a red apple", seed=7)
    at = open_page()
    at.number_input(key="g_seed").set_value(7)
    submit(at, "a red apple")
    at.button(key="show_same").click().run()
    assert at.query_params["job"] == earlier.id
    assert len(studio.jobs.list(maker).items) == 1


def test_remix_keeps_the_settings_and_frees_the_seed(
    open_page: Callable[..., AppTest], draw: Callable[..., Job]
) -> None:
    job = draw("a red apple", seed=7, steps=11, width=96, height=104)
    at = open_page()
    at.button(key=f"remix_{job.id}").click().run()
    state = at.session_state
    assert (state["g_prompt"], state["g_steps"], state["g_size"], state["g_seed"]) == (
        "a red apple", 11, "Custom", None,
    )  # fmt: skip


def test_use_all_keeps_the_seed(open_page: Callable[..., AppTest], draw: Callable[..., Job]) -> None:
    job = draw("a red apple", seed=7)
    at = open_page()
    at.button(key=f"all_{job.id}").click().run()
    assert at.number_input(key="g_seed").value == 7


def test_the_form_keeps_the_prompt_while_another_page_is_open(open_page: Callable[..., AppTest]) -> None:
    at = open_page()
    at.text_area(key="g_prompt").set_value("a lighthouse").run()
    at.switch_page("app/pages/gallery.py").run()
    at.switch_page("app/pages/generate.py").run()
    assert at.text_area(key="g_prompt").value == "a lighthouse"


def test_another_users_job_in_the_url_is_not_shown(
    open_page: Callable[..., AppTest], studio: Studio, other: User
) -> None:
    job = studio.jobs.submit(other, JobRequest(prompt="not yours"))
    at = open_page(query={"job": job.id})
    assert "not yours" not in words(at)
    assert at.text_area(key="g_prompt").value == ""
    assert not at.exception and not at.error


def test_a_prompt_that_is_too_long_is_refused(
    open_page: Callable[..., AppTest], studio: Studio, maker: User
) -> None:
    at = open_page()
    at.text_area(key="g_prompt").set_value("x" * 2001).run()
    assert as_label("The prompt has 2001 characters; at most 2000 are possible") in words(at)
    at.button(key="generate").click().run()
    assert as_label("The prompt has 2001 characters; at most 2000 are possible") in words(at)
    assert studio.jobs.list(maker).items == ()


def test_a_size_or_seed_out_of_range_is_reported_with_its_value(open_page: Callable[..., AppTest]) -> None:
    at = open_page()
    at.segmented_control(key="g_size").set_value("Custom").run()
    at.number_input(key="g_width").set_value(4096).run()
    assert "The width is 4096 pixels" in words(at)
    at.number_input(key="g_width").set_value(96).run()
    assert "The width is" not in words(at)
    at.number_input(key="g_seed").set_value(-5).run()
    assert "The seed is \\-5" in words(at) or "The seed is -5" in words(at)


def test_a_typed_prompt_survives_a_page_change_that_interrupts_its_run(
    open_page: Callable[..., AppTest],
) -> None:
    at = open_page()
    with pytest.MonkeyPatch.context() as cut:
        cut.setattr(form_values, "request", lambda card: st.stop())
        at.text_area(key="g_prompt").set_value("a lighthouse").run()
    at.switch_page("app/pages/gallery.py").run()
    at.switch_page("app/pages/generate.py").run()
    assert at.text_area(key="g_prompt").value == "a lighthouse"
    assert not at.exception


def test_values_of_a_form_whose_run_was_interrupted_are_sent_again(open_page: Callable[..., AppTest]) -> None:
    at = open_page()
    at.segmented_control(key="g_count").set_value(3).run()
    at.session_state["form_drawn"] = None
    at.run()
    assert at.session_state["g_count"] == 3
    assert at.segmented_control(key="g_count").proto.set_value


def test_recently_sent_values_are_sent_again_except_the_prompt(
    open_page: Callable[..., AppTest], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(form_values, "monotonic", lambda: now)
    at = open_page()
    now += 0.1
    at.text_area(key="g_prompt").set_value("a lighthouse").run()
    assert at.segmented_control(key="g_count").proto.set_value
    # The prompt is not sent: the user may have typed on in the browser.
    assert not at.text_area(key="g_prompt").proto.set_value
    now += 0.6
    at.run()
    assert not at.segmented_control(key="g_count").proto.set_value


def test_a_prompt_cleared_on_purpose_stays_cleared(open_page: Callable[..., AppTest]) -> None:
    at = open_page()
    at.text_area(key="g_prompt").set_value("a lighthouse").run()
    at.text_area(key="g_prompt").set_value("").run()
    at.switch_page("app/pages/gallery.py").run()
    at.switch_page("app/pages/generate.py").run()
    assert at.text_area(key="g_prompt").value == ""


def test_a_click_shows_a_toast(open_page: Callable[..., AppTest]) -> None:
    at = submit(open_page(), "a secret apple")
    assert [toast.value for toast in at.toast] == ["Drawing…"]
