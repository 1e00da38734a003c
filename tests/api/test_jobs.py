"""Tests of `/v1/jobs`: creating, reading, listing and canceling jobs, and the exact form of the answers."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import struct
import threading
import time
import zlib
from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image as Pillow

from services.build import Studio
from services.clock import now
from services.errors import IdempotencyInFlight, LimitReached, Unavailable
from services.formats.decoding import MOST_TURNS_OF_ONE
from services.formats.sanitize import as_png, read_picture
from services.jobs import inputs
from services.records import JobStatus
from services.settings import Settings
from services.store import keys
from tests.api.conftest import Failing, Finish, Person, invocation_of
from tests.api.traffic import Traffic
from tests.cloud import PUBLIC_URL
from tests.endpoint import ScriptedEndpoint
from tests.studios import shared_clients

BAD_WORD = "swastika"


def make(client: TestClient, person: Person, **fields: Any) -> dict[str, Any]:
    answer = client.post("/v1/jobs", json={"prompt": "a red apple", **fields}, headers=person.auth)
    assert answer.status_code == 201, answer.text
    job: dict[str, Any] = answer.json()
    return job


def finish_soon(
    finish: Finish, looks: list[str], status: JobStatus = JobStatus.SUCCEEDED
) -> threading.Thread:
    """Ends the first job whose progress is queried, because a caller waits for it."""

    def work() -> None:
        deadline = time.monotonic() + 20
        while not looks and time.monotonic() < deadline:
            time.sleep(0.01)
        finish(looks[0], status)

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_a_prompt_alone_creates_a_job_with_all_defaults_resolved(
    client: TestClient, studio: Studio, alice: Person
) -> None:
    answer = client.post("/v1/jobs", json={"prompt": "a red apple"}, headers=alice.auth)
    job = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"{PUBLIC_URL}/v1/jobs/{job['id']}"
    assert answer.headers["cache-control"] == "no-store"
    assert (job["object"], job["status"], job["model"]) == ("job", "starting", "pocket")
    assert job["input"] == {
        "prompt": "a red apple",
        "negative_prompt": "",
        "width": 128,
        "height": 128,
        "steps": 12,
        "guidance": 4.0,
        "scheduler": "ddim",
        "quality": "standard",
        "seed": job["input"]["seed"],
        "count": 1,
        "task": "text-to-image",
        "strength": None,
        "image_sha256": None,
        "mask_sha256": None,
    }
    assert (job["withheld"], job["hint"]) == ([], None)
    assert (job["output"], job["error"], job["started_at"], job["completed_at"]) == (None, None, None, None)
    assert job["created_at"].endswith("Z")
    estimate = studio.jobs.get(alice.user, job["id"]).estimate
    assert 0 < job["metrics"]["estimated_cost_usd"] == estimate.cost_usd <= job["metrics"]["reserved_usd"]
    address = f"{PUBLIC_URL}/v1/jobs/{job['id']}"
    assert job["urls"] == {
        "get": address,
        "run": f"{PUBLIC_URL}/v1/jobs/{job['id']}/run",
        "cancel": f"{address}/cancel",
    }


def test_every_field_reaches_the_service_as_sent(client: TestClient, alice: Person) -> None:
    sent = {
        "negative_prompt": "text",
        "model": "pocket",
        "width": 96,
        "height": 104,
        "steps": 12,
        "guidance": 5,
        "scheduler": "euler",
        "quality": "fine",
        "seed": 4294967295,
        "count": 4,
    }
    job = make(client, alice, **sent)
    assert {**job["input"], "model": job["model"]} == {
        "prompt": "a red apple",
        **sent,
        "task": "text-to-image",
        "strength": None,
        "image_sha256": None,
        "mask_sha256": None,
    }


def test_null_selects_the_default(client: TestClient, alice: Person) -> None:
    assert make(client, alice, width=None, seed=None, model=None)["input"]["width"] == 128


def test_a_finished_job_holds_its_pictures_in_order_with_their_seeds(
    client: TestClient, finish: Finish, settings: Settings, alice: Person
) -> None:
    job = make(client, alice, seed=7, count=3)
    finish(job["id"])
    done = client.get(f"/v1/jobs/{job['id']}", headers=alice.auth).json()
    assert done["status"] == "succeeded"
    assert [image["seed"] for image in done["output"]] == [7, 8, 9]
    first = done["output"][0]
    assert (first["id"], first["object"], first["job"]) == (f"{job['id']}-0", "image", job["id"])
    store = f"{settings.aws_endpoint_url}/{settings.images_bucket}/images/{alice.user.id}/{job['id']}"
    assert first["url"].partition("?")[0] == f"{store}/0.png"
    assert first["thumbnail_url"].partition("?")[0] == f"{store}/0.thumb.webp"
    assert (first["width"], first["height"]) == (128, 128)
    assert 0 < done["metrics"]["cost_usd"] <= job["metrics"]["reserved_usd"]
    assert done["metrics"]["gpu_s"] == 1.0
    assert done["metrics"]["queue_position"] is None


def test_a_failed_job_has_a_reason_and_no_charge(client: TestClient, finish: Finish, alice: Person) -> None:
    job = make(client, alice)
    finish(job["id"], JobStatus.FAILED)
    failed = client.get(f"/v1/jobs/{job['id']}", headers=alice.auth).json()
    assert failed["status"] == "failed"
    assert failed["output"] is None
    assert failed["error"] == {
        "code": "model_error",
        "message": "The model failed while drawing. Try again, or with another seed.",
    }
    assert failed["metrics"]["cost_usd"] == 0


@pytest.fixture
def full_window(client: TestClient, settings: Settings, bob: Person) -> None:
    """Fills the endpoint with Bob's jobs, so that later ones wait."""
    for _ in range(settings.dispatch_window):
        make(client, bob)


def test_a_waiting_job_shows_its_queue_position(client: TestClient, full_window: None, alice: Person) -> None:
    first, second = make(client, alice), make(client, alice)
    assert first["status"] == "queued"
    for place, job in ((1, first), (2, second)):
        seen = client.get(f"/v1/jobs/{job['id']}", headers=alice.auth).json()
        assert (seen["status"], seen["metrics"]["queue_position"]) == ("queued", place)


def test_a_long_queue_is_listed_without_querying_each_jobs_progress(
    client: TestClient, full_window: None, looks: list[str], alice: Person
) -> None:
    made = [make(client, alice)["id"] for _ in range(5)]
    assert len(client.get("/v1/jobs", headers=alice.auth).json()["data"]) == 5
    assert looks == []
    client.get(f"/v1/jobs/{made[0]}", headers=alice.auth)
    assert looks == [made[0]], "a query would have been recorded"


def test_a_running_job_shows_its_step_and_remaining_time(
    client: TestClient, settings: Settings, alice: Person
) -> None:
    job = make(client, alice)
    written = now()
    progress = {"step": 3, "steps": 20, "updated_at": written.isoformat()}
    progress["started_at"] = (written - timedelta(minutes=5)).isoformat()
    shared_clients(settings).s3.put_object(
        Bucket=settings.outputs_bucket,
        Key=keys.progress_key(alice.user.id, job["id"], 1),
        Body=json.dumps(progress),
    )
    seen = client.get(f"/v1/jobs/{job['id']}", headers=alice.auth).json()
    assert seen["status"] == "processing"
    assert {name: seen["metrics"][name] for name in ("step", "steps", "eta_s", "queue_position")} == {
        "step": 3,
        "steps": 20,
        # Three steps took 300 s, so 17 steps take 1700 s, minus the time since.
        "eta_s": pytest.approx(1700, abs=20),
        "queue_position": None,
    }


def test_jobs_are_listed_newest_first_without_gaps_or_repeats_between_pages(
    client: TestClient, alice: Person, bob: Person
) -> None:
    made = [make(client, alice)["id"] for _ in range(5)]
    make(client, bob)
    seen: list[str] = []
    query: dict[str, Any] = {"limit": 2}
    while True:
        page = client.get("/v1/jobs", params=query, headers=alice.auth).json()
        assert page["object"] == "list"
        assert page["has_more"] == (page["next"] is not None)
        seen += [job["id"] for job in page["data"]]
        if not page["has_more"]:
            break
        query["after"] = page["next"]
    assert seen == sorted(made, reverse=True)


def test_jobs_can_be_listed_by_several_statuses(client: TestClient, finish: Finish, alice: Person) -> None:
    done, failed, _ = (make(client, alice)["id"] for _ in range(3))
    finish(done)
    finish(failed, JobStatus.FAILED)
    page = client.get("/v1/jobs?status=succeeded&status=failed", headers=alice.auth).json()
    assert {job["id"] for job in page["data"]} == {done, failed}


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=ten", "limit"),
        ("after=made-up", "after"),
        ("after=" + "x" * 3000, "after"),
        ("status=done", "status"),
        ("page=2", "page"),
    ],
)
def test_an_invalid_list_query_is_refused_by_its_name(
    client: TestClient, alice: Person, query: str, param: str
) -> None:
    answer = client.get(f"/v1/jobs?{query}", headers=alice.auth)
    assert answer.status_code == 422
    assert answer.json()["param"].split(".")[0] == param


def test_canceling_twice_succeeds(client: TestClient, alice: Person) -> None:
    job = make(client, alice)
    answers = [client.post(f"/v1/jobs/{job['id']}/cancel", headers=alice.auth) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert {answer.json()["status"] for answer in answers} == {"canceled"}


def test_canceling_a_finished_job_is_a_conflict(client: TestClient, finish: Finish, alice: Person) -> None:
    job = make(client, alice)
    finish(job["id"])
    answer = client.post(f"/v1/jobs/{job['id']}/cancel", headers=alice.auth)
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")


def test_the_same_idempotency_key_gives_the_same_job(
    client: TestClient, studio: Studio, endpoint: ScriptedEndpoint, alice: Person
) -> None:
    headers = {**alice.auth, "Idempotency-Key": "order 66"}
    answers = [client.post("/v1/jobs", json={"prompt": "a rocket"}, headers=headers) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [201] * 3
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len(studio.jobs.open(alice.user)) == len(endpoint.accepted) == 1


def test_an_idempotency_key_with_another_body_is_refused(client: TestClient, alice: Person) -> None:
    headers = {**alice.auth, "Idempotency-Key": "order 66"}
    client.post("/v1/jobs", json={"prompt": "a rocket"}, headers=headers)
    answer = client.post("/v1/jobs", json={"prompt": "a boat"}, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_mismatch")


@pytest.mark.parametrize("sent", [[""], ["k" * 256], ["a\tb"], ["one", "two"]])
def test_an_invalid_idempotency_key_is_refused_and_nothing_is_created(
    client: TestClient, alice: Person, traffic: Traffic, sent: list[str]
) -> None:
    headers = [*alice.auth.items(), *(("Idempotency-Key", key) for key in sent)]
    answer = client.post("/v1/jobs", json={"prompt": "a rocket"}, headers=headers)
    assert (answer.status_code, answer.json()["param"]) == (422, "Idempotency-Key")
    assert traffic.writes == []


def test_a_moderated_prompt_is_refused_with_rule_category_and_span(
    client: TestClient, alice: Person, traffic: Traffic
) -> None:
    answer = client.post("/v1/jobs", json={"prompt": f"a {BAD_WORD}"}, headers=alice.auth)
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["param"]) == (422, "moderated", "prompt")
    assert problem["moderation"] == {
        "rule": "hate-symbols",
        "category": "hate_symbols",
        "span": [2, 2 + len(BAD_WORD)],
    }
    assert BAD_WORD not in answer.text
    assert traffic.writes == []


@pytest.mark.parametrize(
    ("error", "status", "retry_after"),
    [
        (LimitReached("500 pictures today.", code="daily_images", retry_after_s=3600), 429, "3600"),
        (LimitReached("The budget is used up.", code="budget"), 429, None),
        (Unavailable("DynamoDB throttles.", retry_after_s=5), 503, "5"),
        (IdempotencyInFlight("Being worked on."), 409, "1"),
    ],
)
def test_temporary_refusals_have_a_retry_after(
    client: TestClient,
    studio: Studio,
    alice: Person,
    failing: Failing,
    error: Exception,
    status: int,
    retry_after: str | None,
) -> None:
    failing(studio.jobs, "submit", error)
    answer = client.post("/v1/jobs", json={"prompt": "a rocket"}, headers=alice.auth)
    assert answer.status_code == status
    assert answer.headers.get("retry-after") == retry_after
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_created_job_is_returned_even_if_it_cannot_be_read_back(
    client: TestClient, studio: Studio, failing: Failing, alice: Person
) -> None:
    calls = failing(studio.live, "watch", Unavailable("S3 throttles."))
    headers = {**alice.auth, "Prefer": "wait=30"}
    answer = client.post("/v1/jobs", json={"prompt": "a red apple"}, headers=headers)
    assert calls
    assert (answer.status_code, answer.json()["status"]) == (201, "starting")


def test_a_created_job_is_returned_even_if_its_pictures_cannot_be_read(
    client: TestClient,
    studio: Studio,
    finish: Finish,
    looks: list[str],
    failing: Failing,
    alice: Person,
) -> None:
    calls = failing(studio.images, "of_jobs", Unavailable("S3 throttles."))
    thread = finish_soon(finish, looks)
    headers = {**alice.auth, "Prefer": "wait=30"}
    answer = client.post("/v1/jobs", json={"prompt": "a red apple"}, headers=headers)
    thread.join(timeout=5)
    assert calls
    assert (answer.status_code, answer.json()["status"]) == (201, "starting")


def file(kind: str = "PNG", size: tuple[int, int] = (64, 64), color: str = "white", **options: Any) -> bytes:
    target = io.BytesIO()
    Pillow.new("RGB", size, color).save(target, kind, **options)
    return target.getvalue()


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_an_image_selects_image_to_image_and_a_mask_inpainting(
    client: TestClient, alice: Person, kind: str
) -> None:
    picture = file(kind, color="red")
    job = make(client, alice, image=base64_of(picture))
    assert job["input"]["task"] == "image-to-image"
    assert job["input"]["strength"] == 0.6
    kept = as_png(read_picture(picture, param="image").resize((128, 128)))
    assert job["input"]["image_sha256"] == hashlib.sha256(kept).hexdigest()
    job = make(client, alice, image=base64_of(picture), mask=base64_of(file()), strength=0.25)
    assert (job["input"]["task"], job["input"]["strength"]) == ("inpainting", 0.25)
    assert job["input"]["mask_sha256"] == hashlib.sha256(as_png(Pillow.new("L", (128, 128), 255))).hexdigest()


def animated() -> bytes:
    frames = [Pillow.new("RGB", (64, 64), color) for color in ("red", "blue")]
    target = io.BytesIO()
    frames[0].save(target, "WEBP", save_all=True, append_images=frames[1:], duration=100)
    return target.getvalue()


def bomb(side: int) -> bytes:
    """Returns a small PNG whose header claims `side` x `side` pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    png = file()
    return png[:12] + header + struct.pack(">I", zlib.crc32(header)) + png[33:]


@pytest.mark.parametrize(
    ("fields", "param", "words"),
    [
        ({"image": "not base64!"}, "image", "base64"),
        ({"image": base64_of(b"GIF89a" + bytes(100))}, "image", "PNG, JPEG or WebP"),
        ({"image": base64_of(b"<svg xmlns='http://www.w3.org/2000/svg'/>")}, "image", "PNG, JPEG or WebP"),
        ({"image": base64_of(file("GIF"))}, "image", "PNG, JPEG or WebP"),
        ({"image": base64_of(file(size=(8200, 8)))}, "image", "8200 x 8 pixels"),
        ({"image": base64_of(bomb(6_000))}, "image", "25 megapixels"),
        ({"image": base64_of(bomb(60_000))}, "image", "8192"),
        ({"image": base64_of(file(size=(500, 500), color="red")[:-200])}, "image", "cut off"),
        ({"image": base64_of(animated())}, "image", "animated"),
        ({"image": base64_of(file()), "strength": 1.5}, "strength", "0.01 to 1"),
        ({"image": base64_of(file()), "strength": 0}, "strength", "0.01 to 1"),
        ({"strength": 0.5}, "strength", "goes with an image"),
        ({"mask": base64_of(file())}, "mask", "goes with an image"),
        ({"image": base64_of(file()), "mask": base64_of(file(color="black"))}, "mask", "no white area"),
    ],
)
def test_an_unusable_input_picture_is_refused_by_field(
    client: TestClient, traffic: Traffic, alice: Person, fields: dict[str, Any], param: str, words: str
) -> None:
    answer = client.post("/v1/jobs", json={"prompt": "a red apple", **fields}, headers=alice.auth)
    problem = answer.json()
    assert (answer.status_code, problem["param"]) == (422, param)
    assert words in problem["detail"]
    assert traffic.writes == []


def test_withheld_pictures_and_hints_are_in_the_answer(
    client: TestClient, finish: Finish, alice: Person
) -> None:
    def withhold(answer: dict[str, Any]) -> None:
        answer["images"][0] |= {"data": None, "sha256": None, "nsfw": 0.97, "withheld": "nsfw"}
        answer["hint"] = {"nearest": ["atom symbol", "puzzle piece"], "likeness": 0.2}
        answer["batch_pictures"] = 4

    job = make(client, alice, prompt="quantum chromodynamics", count=2, seed=7)
    finish(job["id"], change=withhold)
    answer = client.get(f"/v1/jobs/{job['id']}", headers=alice.auth)
    told = answer.json()
    assert told["withheld"] == [{"n": 0, "seed": 7, "reason": "nsfw"}]
    assert "0.97" not in answer.text
    assert [image["seed"] for image in told["output"]] == [8]
    assert told["hint"]["nearest"] == ["atom symbol", "puzzle piece"]
    assert told["hint"]["message"] == (
        "pocket does not know “quantum chromodynamics”. The closest things it can draw: atom symbol, puzzle piece."
    )
    assert told["metrics"]["batch_pictures"] == 4


def test_a_job_that_waits_for_its_model_shows_its_latest_start_and_can_be_run_now(
    client: TestClient, endpoint: ScriptedEndpoint, alice: Person
) -> None:
    endpoint.instances = 0
    job = make(client, alice, when="warm", within_s=3600)
    assert job["status"] == "queued"
    assert job["run_by"] > job["created_at"]
    assert endpoint.accepted == []
    for _ in range(2):
        answer = client.post(job["urls"]["run"].removeprefix(PUBLIC_URL), headers=alice.auth)
        assert (answer.status_code, answer.json()["run_by"]) == (200, None)
    assert invocation_of(endpoint, job["id"])
    # Only the job that wakes the model is charged for the wake.
    assert job["metrics"]["estimated_wake_usd"] == 0 < make(client, alice)["metrics"]["estimated_wake_usd"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"when": "later"}, "when"),
        ({"when": "warm", "within_s": 1}, "within_s"),
        ({"within_s": 60}, "within_s"),
    ],
)
def test_an_invalid_wait_is_refused_by_field(
    client: TestClient, alice: Person, studio: Studio, fields: dict[str, Any], param: str
) -> None:
    answer = client.post("/v1/jobs", json={"prompt": "a", **fields}, headers=alice.auth)
    assert (answer.status_code, answer.json()["param"]) == (422, param)
    assert studio.jobs.list(alice.user).items == ()


def test_pictures_that_wait_to_be_decoded_do_not_hold_other_requests(
    client: TestClient, alice: Person, bob: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoding, may_end = threading.Semaphore(0), threading.Event()

    def slow(data: bytes, *, param: str) -> Pillow.Image:
        decoding.release()
        assert may_end.wait(60)
        return read_picture(data, param=param)

    monkeypatch.setattr(inputs, "read_picture", slow)
    body = {"prompt": "a red apple", "image": base64_of(file())}
    answers: list[Any] = []

    def send() -> None:
        answers.append(client.post("/v1/jobs", json=body, headers=alice.auth))

    threads = [threading.Thread(target=send) for _ in range(18)]
    for thread in threads:
        thread.start()
    try:
        assert decoding.acquire(timeout=60)
        refused = 18 - MOST_TURNS_OF_ONE
        deadline = time.monotonic() + 60
        while len(answers) < refused and time.monotonic() < deadline:
            time.sleep(0.01)
        assert [answer.status_code for answer in answers] == [503] * refused
        assert all(int(answer.headers["Retry-After"]) > 0 for answer in answers)
        assert client.get("/v1/me", headers=bob.auth).status_code == 200
        assert len(answers) == refused
    finally:
        may_end.set()
        for thread in threads:
            thread.join(60)
    assert [answer.status_code for answer in answers[refused:]] == [201] * MOST_TURNS_OF_ONE
