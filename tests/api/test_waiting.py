"""Tests of `Prefer: wait`: the answer comes when the job ends or the time is up, and other requests are not delayed."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.api import waiting
from services.build import Studio
from services.errors import Unavailable
from services.records import JobStatus
from services.settings import Settings
from tests.api.conftest import Failing, Finish, Person, Served, person
from tests.api.test_jobs import finish_soon
from tests.endpoint import ScriptedEndpoint
from tests.studios import cancel_open_jobs, running_studio

BODY = {"prompt": "a red apple"}


@pytest.mark.parametrize("status", [JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.EXPIRED])
def test_waiting_ends_when_the_job_ends(
    client: TestClient,
    finish: Finish,
    looks: list[str],
    alice: Person,
    status: JobStatus,
) -> None:
    thread = finish_soon(finish, looks, status)
    began = time.monotonic()
    answer = client.post("/v1/jobs", json=BODY, headers={**alice.auth, "Prefer": "wait=30"})
    thread.join(timeout=5)
    assert time.monotonic() - began < 10
    assert answer.status_code == 201
    assert answer.headers["preference-applied"] == "wait=30"
    assert answer.json()["status"] == status.value
    assert bool(answer.json()["output"]) == (status is JobStatus.SUCCEEDED)


def test_after_the_waiting_time_the_open_job_is_returned(
    client: TestClient, looks: list[str], alice: Person
) -> None:
    answer = client.post("/v1/jobs", json=BODY, headers={**alice.auth, "Prefer": "wait=1"})
    assert answer.status_code == 201
    assert answer.headers["preference-applied"] == "wait=1"
    assert answer.json()["status"] == "starting"
    assert len(looks) >= 2


@pytest.mark.parametrize(
    ("prefer", "seconds"),
    [
        ("wait=7", 7),
        ("respond-async, wait=7", 7),
        ('Wait = "7"; x=1', 7),
        ("wait=60", 60),
        ("wait=3600", 60),
        ("wait=0", None),
        ("wait", None),
        ("wait=-1", None),
        ("wait=1.5", None),
        ("wait=soon", None),
        ("return=minimal", None),
        ("", None),
        ("wait=\u0667", None),
    ],
)
def test_the_preference_is_parsed_according_to_rfc_7240(prefer: str, seconds: int | None) -> None:
    assert waiting.preferred_wait_s([prefer]) == seconds


def test_without_the_preference_a_request_does_not_wait(client: TestClient, alice: Person) -> None:
    answer = client.post("/v1/jobs", json=BODY, headers={**alice.auth, "Prefer": "wait=0"})
    assert "preference-applied" not in answer.headers


def test_a_request_over_the_waiting_limit_is_answered_at_once(
    client: TestClient, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "MAX_WAITING", 0)
    began = time.monotonic()
    answer = client.post("/v1/jobs", json=BODY, headers={**alice.auth, "Prefer": "wait=60"})
    assert time.monotonic() - began < 10
    assert answer.status_code == 201
    assert "preference-applied" not in answer.headers


def test_a_failed_progress_query_ends_the_wait_and_keeps_the_job(
    client: TestClient, studio: Studio, failing: Failing, alice: Person
) -> None:
    calls = failing(studio.live, "watch", Unavailable("S3 throttles."))
    answer = client.post("/v1/jobs", json=BODY, headers={**alice.auth, "Prefer": "wait=60"})
    assert answer.status_code == 201
    assert [job.id for job in studio.jobs.open(alice.user)] == [answer.json()["id"]]
    assert calls


def test_a_hundred_waiting_callers_delay_no_other_request(
    served: Served, client: TestClient, settings: Settings, endpoint: ScriptedEndpoint
) -> None:
    generous = settings.model_copy(update={"user_open_jobs": 100})
    with running_studio(generous, endpoint) as studio:
        served.studio = studio
        alice = person(studio, "a")
        headers = {**alice.auth, "Prefer": "wait=60"}
        answers: list[Any] = []

        def wait() -> None:
            answers.append(client.post("/v1/jobs", json=BODY, headers=headers))

        threads = [threading.Thread(target=wait) for _ in range(100)]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + 50
        while len(studio.jobs.open(alice.user)) < 100:
            assert time.monotonic() < deadline, "all of them are accepted"
            time.sleep(0.05)
        # Their jobs are still open, so none of them has an answer, while other requests are answered.
        assert client.get("/v1/me", headers=alice.auth).status_code == 200
        assert answers == []
        cancel_open_jobs(studio, alice.user)
        for thread in threads:
            thread.join(timeout=30)
    assert [answer.status_code for answer in answers] == [201] * 100
    assert {answer.json()["status"] for answer in answers} == {"canceled"}
