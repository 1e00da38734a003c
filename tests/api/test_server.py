"""Tests of behavior that needs a real server and socket."""

from __future__ import annotations

import http.client
import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
import uvicorn

from services.build import Studio
from tests.api.conftest import Person, mounted
from tests.api.floods import FLOODS
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


@pytest.mark.parametrize("route", [("POST", "/v1/jobs"), ("PUT", "/healthz")], ids=" ".join)
def test_a_client_that_sends_a_hundred_megabytes_is_not_cut_off(
    port: int, alice: Person, route: tuple[str, str]
) -> None:
    method, path = route
    megabyte = b"x" * 1024 * 1024
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {alice.key}\r\nContent-Length: {100 * len(megabyte)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(head.encode())
        for _ in range(100):
            connection.sendall(megabyte)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith((b"HTTP/1.1 413 ", b"HTTP/1.1 405 "))


def test_a_client_that_leaves_within_its_body_is_no_failure(
    port: int, alice: Person, caplog: pytest.LogCaptureFixture
) -> None:
    head = (
        "POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {alice.key}\r\nContent-Length: 1000\r\n\r\n"
    )
    caplog.set_level(logging.INFO, "atelier")
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(head.encode() + b'{"prompt": ')
    deadline = time.monotonic() + 10
    while "client_left" not in caplog.text and time.monotonic() < deadline:
        time.sleep(0.02)
    assert [(one.name, one.getMessage()) for one in caplog.records] == [("atelier", "client_left")]


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


def test_requests_that_hang_do_not_delay_the_health_check(
    port: int, studio: Studio, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging, go_on = threading.Semaphore(0), threading.Event()

    def hang(*_: object, **__: object) -> None:
        hanging.release()
        go_on.wait(timeout=60)

    monkeypatch.setattr(studio.jobs, "list", hang)
    head = f"GET /v1/jobs HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {alice.key}\r\n\r\n"
    with ExitStack() as sockets:
        for _ in range(20):
            connection = sockets.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20))
            connection.sendall(head.encode())
        # All threads of the API.
        assert all(hanging.acquire(timeout=20) for _ in range(16))
        try:
            probe = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            probe.request("GET", "/healthz")
            assert probe.getresponse().status == 200
            probe.close()
        finally:
            go_on.set()


# What a client can send to a route, and how often at once.
WORST: dict[str, Callable[[], bytes]] = {
    **FLOODS,
    "one long text": lambda: b'{"prompt": "' + b"x" * 16_000_000 + b'"}',
    "escapes": lambda: b'{"prompt": "' + b"\\u00e9" * 2_600_000 + b'"}',
    "digits": lambda: b'{"prompt": "a", "guidance": 0.' + b"1" * 16_000_000 + b"}",
    "a picture of zeros": lambda: b'{"prompt": "a", "image": "' + b"A" * 16_000_000 + b'"}',
    # Each becomes 18 letters before it is moderated.
    "a prompt of ligatures": lambda: json.dumps({"prompt": "\ufdfa" * 2000}).encode(),
    "not UTF-8": lambda: b"\xff" * 16_000_000,
    "more than any route takes": lambda: b"[" * 24_000_000,
}
AT_ONCE = 3
MOST_DELAY_S = 0.1
ROUTES = (("POST", "/v1/jobs"), ("POST", "/v1/jobs/x/cancel"), ("GET", "/v1/me"), ("PUT", "/healthz"))
# What fits into the head of a request: uvicorn takes 64 KiB.
WORST_HEADS = {
    "values": "/v1/jobs?" + "&".join(f"status=x{n}" for n in range(5000)),
    "names": "/v1/images?" + "&".join(f"{n}=" for n in range(9000)),
    "separators": "/v1/jobs?" + "&" * 60_000,
    "escapes": "/v1/jobs?after=" + "%C3%A9" * 10_000,
    "slashes": "/v1/" + "/" * 60_000,
    "an escaped path": "/v1/images/" + "%41" * 20_000,
}


def delay_during(port: int, head: bytes, body: bytes) -> float:
    """Returns the longest time that `/healthz` took while the request was sent several times at once."""

    def send() -> None:
        with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
            connection.sendall(head + body)
            assert connection.recv(12).startswith(b"HTTP/1.1 ")

    threads = [threading.Thread(target=send) for _ in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    worst = 0.0
    while any(thread.is_alive() for thread in threads):
        began = time.perf_counter()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("GET", "/healthz")
        assert connection.getresponse().status == 200
        connection.close()
        worst = max(worst, time.perf_counter() - began)
    return worst


@pytest.mark.parametrize("route", ROUTES, ids=" ".join)
@pytest.mark.parametrize("name", WORST)
def test_no_body_delays_the_health_check(port: int, alice: Person, name: str, route: tuple[str, str]) -> None:
    method, path = route
    body = WORST[name]()
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {alice.key}\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode()
    assert_no_delay(port, head, body)


@pytest.mark.parametrize("name", WORST_HEADS)
def test_no_address_delays_the_health_check(port: int, alice: Person, name: str) -> None:
    head = f"GET {WORST_HEADS[name]} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {alice.key}\r\n\r\n"
    assert_no_delay(port, head.encode(), b"")


def assert_no_delay(port: int, head: bytes, body: bytes) -> None:
    """Asserts that a request delays the health check by less than MOST_DELAY_S.

    On a busy machine it may be a few times what the same bytes to a route that ignores them take. The least of several
    counts, because another process can take the processor for a moment.
    """
    ignored = f"POST /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    seen = []
    for _ in range(5):
        delay = delay_during(port, head, body)
        if delay < MOST_DELAY_S:
            return
        seen.append((delay, delay_during(port, ignored, body)))
        if delay < 5 * seen[-1][1]:
            return
    raise AssertionError(seen)
