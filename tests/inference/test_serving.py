"""Tests of the server with a controlled model: answers, queue, failures, and disconnects."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from PIL import Image

from inference.contract import Succeeded
from tests.inference.client import PAYLOAD, ask, invoke, send_and_keep_open, wait_until
from tests.inference.conftest import LocalServer
from tests.inference.crowd import waits

StartServer = Callable[..., LocalServer]


def test_an_answer_matches_the_contract(local_server: StartServer) -> None:
    server = local_server()

    answer = invoke(server.port, num_images_per_prompt=2, seed=2**32 - 1)

    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert int(answer.headers["content-length"]) == len(answer.body)
    assert "transfer-encoding" not in answer.headers
    body = answer.json
    Succeeded.model_validate(body)
    assert list(body) == [
        "status",
        "images",
        "hint",
        "model",
        "timings",
        "batch_pictures",
        "gpu_s",
        "peak_memory_bytes",
        "device",
        "versions",
    ]
    assert [image["seed"] for image in body["images"]] == [2**32 - 1, 0]
    assert body["model"]["name"] == "tiny"
    timings = body["timings"]
    assert timings["denoise_s"] + timings["decode_s"] <= body["gpu_s"] + 0.001
    assert body["gpu_s"] <= timings["total_s"] + 0.001


def test_a_png_is_complete_and_has_no_metadata(local_server: StartServer) -> None:
    server = local_server()

    image = invoke(server.port, width=96).json["images"][0]
    png = base64.b64decode(image["data"])
    picture = Image.open(io.BytesIO(png))
    picture.load()

    assert hashlib.sha256(png).hexdigest() == image["sha256"]
    assert (picture.format, picture.mode, picture.size) == ("PNG", "RGB", (96, 64))
    assert (image["width"], image["height"]) == (96, 64)
    assert picture.info == {}
    assert not any(chunk in png for chunk in (b"tEXt", b"iTXt", b"zTXt", b"eXIf"))


def test_the_same_request_gives_the_same_bytes(local_server: StartServer) -> None:
    server = local_server()

    first, second = (invoke(server.port, num_images_per_prompt=2).json["images"] for _ in range(2))

    assert first == second


def test_ping_answers_while_a_picture_is_drawn(local_server: StartServer) -> None:
    server = local_server()
    server.model.hold()
    with ThreadPoolExecutor() as pool:
        running = pool.submit(invoke, server.port)
        assert server.model.held.wait(20)
        statuses = [ask(server.port, "GET", "/ping", timeout_s=2).status for _ in range(20)]
        server.model.release()

        assert statuses == [200] * 20
        assert running.result().status == 200


def test_a_full_queue_answers_503_with_retry_after(local_server: StartServer) -> None:
    server = local_server(queue_size=2)
    server.model.hold()
    with ThreadPoolExecutor() as pool:
        accepted = [pool.submit(invoke, server.port)]
        assert server.model.held.wait(20)
        accepted += [pool.submit(invoke, server.port) for _ in range(2)]
        wait_until(partial(waits, server, 2), "the queue is full")
        refused = invoke(server.port)
        server.model.release()

        assert (refused.status, refused.error["code"]) == (503, "busy")
        assert int(refused.headers["retry-after"]) >= 1
        assert [running.result().status for running in accepted] == [200, 200, 200]
    assert invoke(server.port).status == 200


def test_waiting_requests_are_served_in_order(local_server: StartServer) -> None:
    server = local_server()
    server.model.hold()
    finished: list[int] = []

    def draw(seed: int) -> None:
        # With equal steps they would be drawn and answered together.
        assert invoke(server.port, num_inference_steps=seed + 1).status == 200
        finished.append(seed)

    threads = [threading.Thread(target=draw, args=(seed,)) for seed in range(4)]
    for waiting, thread in enumerate(threads):
        thread.start()
        assert server.model.held.wait(20)
        wait_until(partial(waits, server, waiting), "queued")
    server.model.release()
    for thread in threads:
        thread.join(30)

    assert finished == [0, 1, 2, 3]


def test_the_answer_includes_the_time_spent_waiting(local_server: StartServer) -> None:
    server = local_server()
    server.model.hold()
    sent = time.monotonic()
    with ThreadPoolExecutor() as pool:
        first = pool.submit(invoke, server.port)
        assert server.model.held.wait(20)
        second = pool.submit(invoke, server.port)
        wait_until(partial(waits, server, 1), "queued")
        queued = time.monotonic()
        server.model.before_step = lambda step: time.sleep(0.05)
        server.model.release()
        answers = [first.result(), second.result()]
        drawn = time.monotonic()

    # The first started before the second was queued; the second waited for its three steps.
    waited = [answer.json["timings"]["queue_s"] for answer in answers]
    assert 3 * 0.05 <= waited[1] <= drawn - sent
    assert waited[0] <= queued - sent


def test_a_crash_between_steps_is_an_error_and_the_next_request_is_served(local_server: StartServer) -> None:
    server = local_server()
    fired: list[int] = []

    def crash(step: int) -> None:
        fired.append(step)
        if step == 2:
            raise ZeroDivisionError("the model broke")

    server.model.before_step = crash
    answer = invoke(server.port)
    server.model.before_step = lambda step: None

    assert fired == [1, 2]
    assert (answer.status, answer.error["code"]) == (500, "model_error")
    assert "ZeroDivisionError" in answer.error["message"]
    assert invoke(server.port).status == 200
    assert ask(server.port, "GET", "/ping").status == 200


def test_running_out_of_memory_is_507_and_frees_it(local_server: StartServer) -> None:
    server = local_server()

    def exhaust(step: int) -> None:
        raise MemoryError

    server.model.before_step = exhaust
    answer = invoke(server.port)
    server.model.before_step = lambda step: None
    wait_until(lambda: server.model.freed == 1, "memory is freed")

    assert (answer.status, answer.error["code"]) == (507, "out_of_memory")
    assert invoke(server.port).status == 200


def test_a_failure_never_puts_the_prompt_into_the_log(
    local_server: StartServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server = local_server()

    def crash(step: int) -> None:
        raise ValueError("cannot draw a confidential thing")

    server.model.before_step = crash
    invoke(server.port, prompt="a confidential thing")
    server.model.before_step = lambda step: None
    log = capsys.readouterr().err

    assert '"event":"request_failed"' in log
    assert "confidential" not in log


def missed(server: LocalServer) -> bool:
    """Return whether the engine has noticed that the running request's client disconnected."""
    running = server.engine.running
    return running is None or running.members[0].ticket.stop is not None


def test_a_disconnect_stops_the_drawing(
    local_server: StartServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server = local_server()
    server.model.hold()
    steps: list[int] = []
    server.model.before_step = steps.append
    connection = send_and_keep_open(server.port, num_inference_steps=150)
    assert server.model.held.wait(20)
    connection.close()
    wait_until(lambda: missed(server), "the client is missed")
    server.model.release()
    wait_until(server.engine.is_idle, "the drawing stops")

    assert len(steps) < 10
    assert '"event":"request_stopped"' in capsys.readouterr().err
    assert invoke(server.port).status == 200


def test_a_disconnect_frees_the_place_in_the_queue(local_server: StartServer) -> None:
    server = local_server(queue_size=1)
    server.model.hold()
    with ThreadPoolExecutor() as pool:
        running = pool.submit(invoke, server.port)
        assert server.model.held.wait(20)
        waiting = send_and_keep_open(server.port)
        wait_until(partial(waits, server, 1), "the queue is full")
        waiting.close()
        wait_until(lambda: not server.engine.waiting, "the place is free")
        next_one = pool.submit(invoke, server.port)
        wait_until(partial(waits, server, 1), "the next one has it")
        server.model.release()

        assert running.result().status == 200
        assert next_one.result().status == 200


def test_ping_reports_a_hung_model(local_server: StartServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server = local_server()
    server.model.hold()
    connection = send_and_keep_open(server.port)
    assert server.model.held.wait(20)
    healthy = ask(server.port, "GET", "/ping").status
    connection.close()
    monkeypatch.setattr("inference.engine.HUNG_AFTER_S", 0.2)
    hung = wait_until(
        lambda: answer if (answer := ask(server.port, "GET", "/ping")).status == 503 else None, "ping says so"
    )
    server.model.release()

    assert healthy == 200
    assert hung.json == {"status": "hung"}
    wait_until(lambda: ask(server.port, "GET", "/ping").status == 200, "it recovers")


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://localhost:8501"])
def test_a_request_from_a_web_page_is_refused(local_server: StartServer, origin: str) -> None:
    server = local_server()
    steps: list[int] = []
    server.model.before_step = steps.append
    headers = {"Origin": origin, "Content-Type": "application/json"}

    refused = ask(server.port, "POST", "/invocations", json.dumps(PAYLOAD).encode(), headers)

    assert (refused.status, refused.error["code"]) == (403, "invalid_request")
    assert steps == []


@pytest.mark.parametrize(
    "kind", [None, "", "text/plain", "text/plain;application/json", "application/x-www-form-urlencoded"]
)
def test_a_body_without_a_json_content_type_is_refused(local_server: StartServer, kind: str | None) -> None:
    server = local_server()
    steps: list[int] = []
    server.model.before_step = steps.append
    headers = {} if kind is None else {"Content-Type": kind}

    refused = ask(server.port, "POST", "/invocations", json.dumps(PAYLOAD).encode(), headers)

    assert (refused.status, refused.error["code"]) == (415, "invalid_request")
    assert "application/json" in refused.error["message"]
    assert steps == []


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "Application/JSON"])
def test_json_content_types_are_accepted_with_charset_and_in_any_case(
    local_server: StartServer, kind: str
) -> None:
    server = local_server()

    answer = ask(server.port, "POST", "/invocations", json.dumps(PAYLOAD).encode(), {"Content-Type": kind})

    assert answer.status == 200


def test_a_closed_engine_refuses_waiting_and_new_requests(local_server: StartServer) -> None:
    server = local_server()
    server.model.hold()
    with ThreadPoolExecutor() as pool:
        running = pool.submit(invoke, server.port)
        assert server.model.held.wait(20)
        waiting = pool.submit(invoke, server.port)
        wait_until(partial(waits, server, 1), "queued")
        server.engine.close()
        late = invoke(server.port)
        server.model.release()

        for answer in (waiting.result(), late):
            assert (answer.status, answer.error["code"]) == (503, "shutting_down")
            assert answer.headers["retry-after"]
        assert running.result().status == 200
    assert ask(server.port, "GET", "/ping").status == 503
