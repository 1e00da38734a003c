"""Tests of behavior that needs a real server and socket."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn

from services.build import Studio
from tests.api.conftest import Person, mounted
from tests.api.traffic import Traffic

TWENTY_MEGABYTES = json.dumps({"prompt": "x" * 20_000_000}).encode()


@pytest.fixture
def port(studio: Studio) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(mounted(lambda: studio), log_config=None, lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        deadline = time.monotonic() + 10
        while not server.started and time.monotonic() < deadline:
            time.sleep(0.01)
        yield int(listener.getsockname()[1])
        server.should_exit = True
        thread.join(timeout=10)
        assert not thread.is_alive()


@pytest.mark.parametrize("declared", [True, False])
def test_a_client_that_sends_twenty_megabytes_first_still_receives_the_error(
    port: int, alice: Person, traffic: Traffic, declared: bool
) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    pieces = iter([TWENTY_MEGABYTES[n : n + 65536] for n in range(0, len(TWENTY_MEGABYTES), 65536)])
    connection.request(
        "POST",
        "/v1/jobs",
        body=TWENTY_MEGABYTES if declared else pieces,
        headers={**alice.auth, "Content-Type": "application/json"},
        encode_chunked=not declared,
    )
    answer = connection.getresponse()
    problem = json.loads(answer.read())
    connection.close()
    assert (answer.status, problem["code"]) == (413, "body_too_large")
    assert traffic.writes == []


def test_a_client_that_expects_100_continue_is_refused_before_it_sends_the_body(
    port: int, alice: Person
) -> None:
    head = (
        "POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {alice.key}\r\nContent-Length: 20000000\r\nExpect: 100-continue\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(head.encode())
        assert connection.recv(1024).startswith(b"HTTP/1.1 413 ")


def test_polling_stops_when_a_waiting_caller_disconnects(
    port: int, studio: Studio, looks: list[str], alice: Person
) -> None:
    body = b'{"prompt": "a red apple"}'
    head = (
        "POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nPrefer: wait=60\r\n"
        f"Authorization: Bearer {alice.key}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(head.encode() + body)
        deadline = time.monotonic() + 10
        while not looks and time.monotonic() < deadline:
            time.sleep(0.02)
    assert looks
    quiet_since = time.monotonic()
    seen = len(looks)
    deadline = time.monotonic() + 10
    while time.monotonic() - quiet_since < 1 and time.monotonic() < deadline:
        time.sleep(0.05)
        if len(looks) != seen:
            seen, quiet_since = len(looks), time.monotonic()
    assert time.monotonic() - quiet_since >= 1
    assert len(studio.jobs.open(alice.user)) == 1, "the job itself continues"
