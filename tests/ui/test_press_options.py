"""Tests of the options next to Generate while the model is asleep: run now or when the model is awake."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from streamlit.testing.v1 import AppTest

from services.build import Studio
from services.records import JobStatus, User, When
from tests.endpoint import ScriptedEndpoint
from tests.ui.conftest import words
from tests.ui.test_generate import submit


@pytest.fixture
def asleep(studio: Studio, endpoint: ScriptedEndpoint) -> Iterator[None]:
    endpoint.instances = 0
    studio.endpoints.refresh()
    yield
    endpoint.instances = 1
    studio.endpoints.refresh()


def test_there_is_no_choice_while_the_model_is_awake(
    open_page: Callable[..., AppTest], studio: Studio
) -> None:
    studio.endpoints.refresh()
    assert not [radio for radio in open_page().radio if radio.key == "press_when"]


@pytest.mark.usefixtures("asleep")
def test_a_job_for_the_warm_model_waits_and_can_be_run_at_once(
    open_page: Callable[..., AppTest], studio: Studio, maker: User
) -> None:
    at = open_page()
    at.radio(key="press_when").set_value(When.WARM.value).run()
    assert "If no other job has woken the model by" in words(at)
    submit(at, "a red apple")
    [job] = studio.jobs.list(maker).items
    assert (job.status, job.attempt) == (JobStatus.QUEUED, 0)
    assert job.run_by is not None and (job.run_by - job.created_at).total_seconds() == 6 * 3600
    said = words(at)
    assert "Waiting for the model to start; runs by" in said
    at.button(key=f"run_{job.id}").click().run()
    assert studio.jobs.get(maker, job.id).attempt == 1


@pytest.mark.usefixtures("asleep")
def test_a_waiting_job_can_be_canceled(
    open_page: Callable[..., AppTest], studio: Studio, maker: User
) -> None:
    at = open_page()
    at.radio(key="press_when").set_value(When.WARM.value).run()
    submit(at, "a red apple")
    [job] = studio.jobs.list(maker).items
    at.button(key=f"cancel_{job.id}").click().run()
    assert studio.jobs.get(maker, job.id).status is JobStatus.CANCELED
    assert "Nothing was charged." in words(at)


@pytest.mark.usefixtures("asleep")
def test_a_job_for_now_wakes_the_model_and_shows_its_cost(
    open_page: Callable[..., AppTest], studio: Studio, maker: User
) -> None:
    at = submit(open_page(), "a red apple")
    [job] = studio.jobs.list(maker).items
    assert job.attempt == 1 and job.estimate.wake_usd > 0
    # The radio's captions are not separate elements.
    assert "paid by the studio for waking the model" in words(at)
