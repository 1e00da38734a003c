"""Tests of progress, previews, and cancellation with a real S3 server."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from itertools import pairwise
from typing import Any

import pytest
from botocore.exceptions import ClientError
from PIL import Image

from tests.inference.client import invoke, wait_until
from tests.inference.conftest import LocalServer
from tests.inference.crowd import difference, pass_sizes, pixels, queue_up
from tests.inference.processes import free_port

StartServer = Callable[..., LocalServer]

pytestmark = pytest.mark.usefixtures("s3_environment")


@pytest.fixture
def job(request: pytest.FixtureRequest) -> dict[str, Any]:
    """A job that no other test uses."""
    return {"bucket": "outputs", "prefix": f"user/{request.node.name[:60]}", "attempt": 3}


def read(s3: Any, key: str) -> bytes | None:
    try:
        body: bytes = s3.get_object(Bucket="outputs", Key=key)["Body"].read()
        return body
    except ClientError as exc:
        assert exc.response["Error"]["Code"] == "NoSuchKey"
        return None


def progress(s3: Any, job: dict[str, Any]) -> Any:
    body = read(s3, f"{job['prefix']}/3.progress.json")
    return json.loads(body) if body else None


def test_progress_is_reported_before_the_first_step_is_done(
    local_server: StartServer, s3: Any, job: dict[str, Any]
) -> None:
    server = local_server()
    server.model.hold()
    with ThreadPoolExecutor() as pool:
        running = pool.submit(invoke, server.port, job=job)
        first = wait_until(lambda: progress(s3, job), "progress is written")
        server.model.release()

        assert running.result().status == 200
    assert (first["step"], first["steps"]) == (0, 3)
    assert list(first) == ["step", "steps", "started_at", "updated_at"]
    assert datetime.fromisoformat(first["started_at"]).tzinfo is not None
    assert first["updated_at"] >= first["started_at"]


def test_progress_is_written_at_most_once_a_second(
    local_server: StartServer, s3: Any, job: dict[str, Any]
) -> None:
    server = local_server()
    server.model.before_step = lambda step: time.sleep(0.02)
    seen: dict[str, int] = {}
    done = threading.Event()

    def look() -> None:
        while not done.wait(0.05):
            if found := progress(s3, job):
                seen[found["updated_at"]] = found["step"]

    looker = threading.Thread(target=look)
    looker.start()
    answer = invoke(server.port, job=job, num_inference_steps=120)
    done.set()
    looker.join()

    assert answer.status == 200
    times = [datetime.fromisoformat(at) for at in sorted(seen)]
    steps = [seen[at] for at in sorted(seen)]
    assert len(times) >= 2
    assert all((b - a).total_seconds() >= 0.99 for a, b in pairwise(times))
    assert steps == sorted(steps)
    assert 0 < steps[-1] <= 120


def test_a_preview_is_a_small_webp_of_the_first_picture(
    local_server: StartServer, s3: Any, job: dict[str, Any]
) -> None:
    server = local_server()
    server.model.before_step = lambda step: time.sleep(0.5)
    with ThreadPoolExecutor() as pool:
        running = pool.submit(
            invoke,
            server.port,
            job=job,
            width=512,
            height=128,
            num_inference_steps=3,
            num_images_per_prompt=2,
        )
        preview = wait_until(lambda: read(s3, f"{job['prefix']}/3.preview.webp"), "a preview is written")

        assert running.result().status == 200
    picture = Image.open(io.BytesIO(preview))
    assert (picture.format, picture.size) == ("WEBP", (256, 64))
    head = s3.head_object(Bucket="outputs", Key=f"{job['prefix']}/3.preview.webp")
    assert head["ContentType"] == "image/webp"


def test_the_cancel_marker_stops_between_two_steps(
    local_server: StartServer, s3: Any, job: dict[str, Any]
) -> None:
    server = local_server()
    server.model.before_step = lambda step: time.sleep(0.03)
    with ThreadPoolExecutor() as pool:
        running = pool.submit(invoke, server.port, job=job, num_inference_steps=150)
        wait_until(lambda: progress(s3, job), "the job runs")
        s3.put_object(Bucket="outputs", Key=f"{job['prefix']}/cancel", Body=b"")
        answer = running.result()

    assert answer.status == 200
    assert list(answer.json) == ["status", "step", "gpu_s"]
    assert answer.json["status"] == "canceled"
    assert 0 < answer.json["step"] < 150
    assert answer.json["gpu_s"] > 0
    server.model.before_step = lambda step: None
    assert invoke(server.port).json["status"] == "succeeded"


def test_a_job_canceled_while_waiting_stops_at_its_first_steps(
    local_server: StartServer, s3: Any, job: dict[str, Any]
) -> None:
    server = local_server()
    server.model.before_step = lambda step: time.sleep(0.05)
    s3.put_object(Bucket="outputs", Key=f"{job['prefix']}/cancel", Body=b"")

    answer = invoke(server.port, job=job, num_inference_steps=150)

    assert answer.json["status"] == "canceled"
    assert answer.json["step"] < 100


def test_every_job_of_a_batch_has_its_own_progress_preview_and_cancel(
    local_server: StartServer, s3: Any, job: dict[str, Any]
) -> None:
    server = local_server()
    jobs = [{**job, "prefix": f"user{n}/batched"} for n in range(3)]
    with ThreadPoolExecutor() as pool:
        first, second, third = queue_up(
            server, pool, [{"job": job, "num_inference_steps": 100, "seed": n} for n, job in enumerate(jobs)]
        )
        server.model.before_step = lambda step: time.sleep(0.05)
        server.model.release()
        for one in jobs:
            found = wait_until(lambda one=one: progress(s3, one), "progress is written")
            assert found["steps"] == 100
            wait_until(lambda one=one: read(s3, f"{one['prefix']}/3.preview.webp"), "a preview is written")
        s3.put_object(Bucket="outputs", Key="user1/batched/cancel", Body=b"")
        canceled = second.result()
        going_on = not first.done() and not third.done()
        server.model.before_step = lambda step: None

        assert [first.result().json["batch_pictures"], third.result().json["batch_pictures"]] == [3, 3]
    # It does not wait for the others.
    assert going_on
    assert pass_sizes(server) == [3]
    assert canceled.json["status"] == "canceled"
    assert 0 < canceled.json["step"] < 100
    assert 0 < canceled.json["gpu_s"] < first.result().json["gpu_s"]
    previews = [read(s3, f"{one['prefix']}/3.preview.webp") for one in jobs]
    assert len(set(previews)) == 3
    assert (
        difference(pixels(third.result()), pixels(invoke(server.port, num_inference_steps=100, seed=2))) <= 1
    )


def test_a_hanging_bucket_does_not_block_canceling_another_job(
    local_server: StartServer, s3: Any, job: dict[str, Any]
) -> None:
    server = local_server()
    reporter = server.engine._reporter
    follow = reporter._follow
    hung = threading.Event()
    let_go = threading.Event()

    def follow_or_hang(report: Any) -> None:
        if report.job.prefix == "user/hangs":
            hung.set()
            assert let_go.wait(60)
        follow(report)

    reporter._follow = follow_or_hang  # type: ignore[method-assign]
    with ThreadPoolExecutor() as pool:
        hanging, canceled = queue_up(
            server,
            pool,
            [
                {"num_inference_steps": 150, "job": {**job, "prefix": p}}
                for p in ("user/hangs", job["prefix"])
            ],
        )
        server.model.before_step = lambda step: time.sleep(0.05)
        server.model.release()
        wait_until(lambda: progress(s3, job), "the job runs")
        s3.put_object(Bucket="outputs", Key=f"{job['prefix']}/cancel", Body=b"")

        assert canceled.result().json["status"] == "canceled"
        assert hung.is_set() and not hanging.done()
        server.model.before_step = lambda step: None
        let_go.set()
        assert hanging.result().status == 200


def test_a_request_without_a_job_writes_nothing(local_server: StartServer, s3: Any) -> None:
    server = local_server()
    before = s3.list_objects_v2(Bucket="outputs").get("KeyCount")

    assert invoke(server.port).status == 200

    assert s3.list_objects_v2(Bucket="outputs").get("KeyCount") == before


def test_a_missing_bucket_does_not_fail_the_job(
    local_server: StartServer, job: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    server = local_server()
    server.model.before_step = lambda step: time.sleep(0.1)

    answer = invoke(server.port, job={**job, "bucket": "nowhere-at-all"}, num_inference_steps=8)

    assert answer.status == 200
    log = capsys.readouterr().err
    assert log.count("progress_not_written") + log.count("cancel_marker_not_read") == 1


def test_an_unreachable_s3_neither_fails_nor_slows_the_job(
    local_server: StartServer,
    job: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    server = local_server()
    server.model.before_step = lambda step: time.sleep(0.1)

    answer = invoke(server.port, job=job, num_inference_steps=8)

    assert answer.json["status"] == "succeeded"
    assert "EndpointConnectionError" in capsys.readouterr().err


def test_a_hanging_s3_does_not_delay_the_model(
    local_server: StartServer, job: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        server = local_server()
        started = threading.Event()
        server.model.before_step = lambda step: started.set()

        answer = invoke(server.port, job=job, num_inference_steps=3)

    assert answer.json["status"] == "succeeded"
    # A single unanswered call takes the client's timeout of 2 s.
    assert answer.json["gpu_s"] < 2
