"""Tests of the server process: start, failed starts, SIGTERM, and the log."""

from __future__ import annotations

import json
import shutil
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from inference.errors import StartError
from inference.serve import ModelServer, _listen
from inference.settings import read_settings
from tests.inference.client import ask, invoke, wait_until
from tests.inference.processes import ObjectStore, ServerProcess

StartProcess = Callable[..., ServerProcess]


def test_answers_on_a_kept_connection_are_sent_at_once(tmp_path: Path) -> None:
    settings = read_settings(
        {"INFERENCE_MODEL_DIR": str(tmp_path), "INFERENCE_HOST": "127.0.0.1", "INFERENCE_PORT": "0"}
    )
    with (
        _listen(settings) as listener,
        socket.create_connection(listener.getsockname()),
        listener.accept()[0] as accepted,
    ):
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


def test_the_server_listens_while_the_model_loads_and_serves_early_requests(
    start_process: StartProcess, tiny_folder: Path
) -> None:
    server = start_process(tiny_folder)
    port = server.port
    loading = ask(port, "GET", "/ping")
    answer = invoke(port)

    assert loading.status == 503
    assert loading.json == {"status": "loading"}
    assert answer.status == 200
    assert answer.json["timings"]["load_s"] > 0
    assert ask(port, "GET", "/ping").status == 200
    assert invoke(port).json["timings"]["load_s"] == 0


def test_ping_answers_fast_while_torch_is_busy(shared_process: ServerProcess) -> None:
    with ThreadPoolExecutor() as pool:
        running = pool.submit(invoke, shared_process.port, width=256, height=256, num_images_per_prompt=4)
        statuses = []
        while not running.done():
            # SageMaker's timeout for a ping is two seconds.
            statuses.append(ask(shared_process.port, "GET", "/ping", timeout_s=2).status)
            time.sleep(0.02)

    assert running.result().status == 200
    assert statuses and set(statuses) == {200}


def has_begun(s3: Any, prefix: str) -> bool:
    """Return whether the job with this prefix has reported progress."""
    return bool(s3.list_objects_v2(Bucket="outputs", Prefix=f"{prefix}/1.progress").get("Contents"))


def test_sigterm_finishes_the_running_request_and_hands_back_the_rest(
    start_process: StartProcess, tiny_folder: Path, object_store: ObjectStore, s3: Any
) -> None:
    # Enough time to finish on a slow machine.
    server = start_process(
        tiny_folder, INFERENCE_SHUTDOWN_S="100", INFERENCE_QUEUE_SIZE="2", **object_store.environment
    )
    port = server.wait_ready()
    with ThreadPoolExecutor() as pool:
        job = {"bucket": "outputs", "prefix": "u/finished", "attempt": 1}
        running = pool.submit(invoke, port, num_inference_steps=150, num_images_per_prompt=3, job=job)
        wait_until(lambda: has_begun(s3, "u/finished"), "it is drawn")
        # One more than the queue holds: once one is refused, the others are queued.
        sent = [pool.submit(invoke, port, seed=seed) for seed in (2, 3, 4)]
        (refused,) = wait([*sent], return_when=FIRST_COMPLETED).done
        assert refused.result().error["code"] == "busy"
        waiting = [future for future in sent if future is not refused]
        server.terminate()
        wait_until(lambda: server.event("shutting_down"), "the signal arrives")
        answers = [future.result() for future in waiting]

        assert running.result().status == 200
        assert [a.error["code"] for a in answers] == ["shutting_down"] * 2
    assert server.wait() == 0


def test_sigterm_hands_the_running_request_back_when_time_is_up(
    start_process: StartProcess, tiny_folder: Path, object_store: ObjectStore, s3: Any
) -> None:
    server = start_process(tiny_folder, INFERENCE_SHUTDOWN_S="1", **object_store.environment)
    port = server.wait_ready()
    with ThreadPoolExecutor() as pool:
        running = pool.submit(
            invoke,
            port,
            width=256,
            height=256,
            num_images_per_prompt=8,
            num_inference_steps=150,
            job={"bucket": "outputs", "prefix": "u/handed-back", "attempt": 1},
        )
        wait_until(lambda: has_begun(s3, "u/handed-back"), "it is drawn")
        started = time.monotonic()
        server.terminate()
        wait_until(lambda: server.event("shutting_down"), "the signal arrives")
        late = invoke(port)
        answer = running.result()

        assert (late.status, late.error["code"]) == (503, "shutting_down")
        assert (answer.status, answer.error["code"]) == (503, "shutting_down")
        assert ask_fails_or_refuses(port)
    assert server.wait() == 0
    assert time.monotonic() - started < 15


def ask_fails_or_refuses(port: int) -> bool:
    """Return whether the server no longer serves: it answers 503, or its port is closed."""
    try:
        return ask(port, "GET", "/ping", timeout_s=5).status == 503
    except OSError:
        return True


def test_sigterm_while_loading_ends_the_process(start_process: StartProcess, tiny_folder: Path) -> None:
    server = start_process(tiny_folder)
    assert server.port
    server.terminate()

    assert server.wait() == 0


def test_pickled_weights_end_the_start_with_one_clear_line(
    start_process: StartProcess, tiny_folder: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny_folder, tmp_path / "pickled")
    evidence = tmp_path / "ran"
    (folder / "unet/diffusion_pytorch_model.safetensors").unlink()
    (folder / "unet/diffusion_pytorch_model.bin").write_bytes(
        b"cos\nsystem\n(S'touch " + str(evidence).encode() + b"'\ntR."
    )

    server = start_process(folder)

    assert server.wait() == 2
    event = server.event("not_started")
    assert event is not None
    assert "unet/diffusion_pytorch_model.bin" in event["message"]
    assert not evidence.exists()


def test_weights_that_cannot_be_read_end_the_process_naming_the_file(
    start_process: StartProcess, tiny_folder: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny_folder, tmp_path / "truncated")
    weights = folder / "unet/diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])

    server = start_process(folder)

    # The header tells the full length, so this is found before loading.
    assert server.wait(180) == 2
    event = server.event("not_started")
    assert event is not None
    assert str(weights) in event["message"]


def test_weights_that_do_not_match_end_the_process_naming_the_part(
    start_process: StartProcess, tiny_folder: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny_folder, tmp_path / "other")
    config = folder / "unet/config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "cross_attention_dim": 64}))

    server = start_process(folder)

    assert server.wait(180) == 1
    event = server.event("model_refused")
    assert event is not None
    assert str(folder / "unet") in event["message"]


def test_a_model_refused_before_the_server_runs_ends_the_server() -> None:
    async def nobody(scope: object, receive: object, send: object) -> None:
        raise AssertionError("nothing is asked")

    config = uvicorn.Config(nobody, lifespan="off", log_config=None)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = ModelServer(config, shutdown_s=1)
        server.fail_start(StartError("no weights"))
        running = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        running.start()
        running.join(30)

    assert not running.is_alive()
    assert server.failed


def test_a_port_in_use_ends_the_start_with_one_clear_line(
    start_process: StartProcess, tiny_folder: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = start_process(tiny_folder, INFERENCE_PORT=str(port))

        assert server.wait() == 2
    event = server.event("not_started")
    assert event is not None
    assert str(port) in event["message"]


def test_the_log_is_json_and_never_contains_a_prompt(start_process: StartProcess, tiny_folder: Path) -> None:
    server = start_process(tiny_folder)
    port = server.wait_ready()
    # Longer than the text encoder's limit: its library would quote the truncated part.
    invoke(port, prompt="confidential " * 50, negative_prompt="private " * 50)
    invoke(port, prompt="confidential \x00")
    server.terminate()
    server.wait()

    names = [event["event"] for event in server.events()]
    assert names[0] == "listening"
    assert "request_drawn" in names
    assert names[-1] == "stopped"
    assert "confidential" not in server.log_text()
    assert "private" not in server.log_text()


def test_every_wrong_setting_is_listed() -> None:
    with pytest.raises(StartError) as refused:
        read_settings({"INFERENCE_PORT": "70000", "INFERENCE_QUEUE_SIZE": "0", "INFERENCE_THREADS": "-1"})

    for name in ("INFERENCE_PORT", "INFERENCE_QUEUE_SIZE", "INFERENCE_THREADS"):
        assert name in str(refused.value)


def test_the_default_settings_match_sagemaker() -> None:
    settings = read_settings({})

    assert (str(settings.model_dir), settings.host, settings.port) == ("/opt/ml/model", "0.0.0.0", 8080)
    assert (settings.queue_size, settings.threads, settings.shutdown_s) == (16, None, 25.0)
