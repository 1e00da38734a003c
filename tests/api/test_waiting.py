"""`Prefer: wait`: held until the job ends, bounded, without holding up anybody else."""

from __future__ import annotations

import threading
import time

import pytest
from fastapi.testclient import TestClient

from app.api import waiting
from services.errors import Unavailable
from services.records import JobStatus
from tests.api.conftest import Person
from tests.api.fake_studio import FakeStudio
from tests.api.test_jobs import finish_soon

BODY = {"prompt": "a red apple"}


@pytest.mark.parametrize("status", [JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.EXPIRED])
def test_waiting_ends_when_the_job_does(
    client: TestClient, studio: FakeStudio, alice: Person, status: JobStatus
) -> None:
    thread = finish_soon(studio, status)
    began = time.monotonic()
    answer = client.post("/v1/jobs", json=BODY, headers={**alice.auth, "Prefer": "wait=30"})
    thread.join(timeout=5)
    assert time.monotonic() - began < 10
    assert answer.status_code == 201
    assert answer.headers["preference-applied"] == "wait=30"
    assert answer.json()["status"] == status.value
    assert bool(answer.json()["output"]) == (status is JobStatus.SUCCEEDED)


def test_waiting_ends_with_the_open_job_when_the_time_is_up(
    client: TestClient, studio: FakeStudio, alice: Person
) -> None:
    answer = client.post("/v1/jobs", json=BODY, headers={**alice.auth, "Prefer": "wait=1"})
    assert answer.status_code == 201
    assert answer.headers["preference-applied"] == "wait=1"
    assert answer.json()["status"] == "queued"
    assert studio.reads.count("live.watch") >= 2


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
def test_the_preference_is_read_as_rfc_7240_says(prefer: str, seconds: int | None) -> None:
    assert waiting.preferred_wait_s([prefer]) == seconds


def test_without_the_preference_nobody_waits(client: TestClient, alice: Person) -> None:
    answer = client.post("/v1/jobs", json=BODY, headers={**alice.auth, "Prefer": "wait=0"})
    assert "preference-applied" not in answer.headers


def test_a_full_waiting_room_answers_at_once(
    client: TestClient, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "MAX_WAITING", 0)
    began = time.monotonic()
    answer = client.post("/v1/jobs", json=BODY, headers={**alice.auth, "Prefer": "wait=60"})
    assert time.monotonic() - began < 10
    assert answer.status_code == 201
    assert "preference-applied" not in answer.headers


def test_a_failing_look_ends_the_wait_and_keeps_the_job(
    client: TestClient, studio: FakeStudio, alice: Person
) -> None:
    studio.failing["live.watch"] = Unavailable("S3 throttles.")
    answer = client.post("/v1/jobs", json=BODY, headers={**alice.auth, "Prefer": "wait=60"})
    assert answer.status_code == 201
    assert answer.json()["id"] in studio.all_jobs
    assert "live.watch" in studio.reads


def test_a_hundred_waiting_callers_hold_up_nobody(
    client: TestClient, studio: FakeStudio, alice: Person
) -> None:
    headers = {**alice.auth, "Prefer": "wait=2"}
    answers: list[int] = []

    def wait() -> None:
        answers.append(client.post("/v1/jobs", json=BODY, headers=headers).status_code)

    threads = [threading.Thread(target=wait) for _ in range(100)]
    for thread in threads:
        thread.start()
    while len(studio.all_jobs) < 50:
        time.sleep(0.01)
    assert client.get("/v1/me", headers=alice.auth).status_code == 200
    assert len(answers) < 100, "the question was answered while others were still waiting"
    for thread in threads:
        thread.join(timeout=30)
    assert answers == [201] * 100
