"""Tests that connections which send their request too slowly are closed, over real sockets."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from uvicorn.protocols.http.auto import AutoHTTPProtocol
from uvicorn.protocols.http.h11_impl import H11Protocol

from app.streamlit_internals import request_timeouts

HEAD = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\n"


async def echo(request: Request) -> Response:
    return PlainTextResponse((await request.body()).decode())


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    for name in ("connection_made", "data_received", "connection_lost"):
        monkeypatch.setattr(H11Protocol, name, getattr(H11Protocol, name))
    request_timeouts.install()
    monkeypatch.setattr(request_timeouts, "HEAD_S", 0.6)
    monkeypatch.setattr(request_timeouts, "BODY_PART_S", 0.6)
    monkeypatch.setattr(request_timeouts, "BODY_S", 1.5)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        app = Starlette(routes=[Route("/", echo, methods=["POST"])])
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield int(listener.getsockname()[1])
        server.should_exit = True
        thread.join(timeout=10)
        assert not thread.is_alive()


def test_uvicorn_uses_the_protocol_that_is_watched() -> None:
    assert AutoHTTPProtocol is H11Protocol


def test_a_connection_that_sends_nothing_is_closed(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        assert connection.recv(100) == b""


@pytest.mark.parametrize("sent", [b"POST / HT", HEAD[:-2], HEAD, HEAD + b"ab"])
def test_a_request_that_stops_halfway_is_answered_with_a_timeout(port: int, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(sent)
        assert connection.recv(1000).startswith(b"HTTP/1.1 408 ")
        assert connection.recv(1000) == b""


@pytest.mark.parametrize("begun", [b"", HEAD.replace(b"4", b"9000")])
def test_bytes_that_trickle_in_do_not_keep_a_connection_open(port: int, begun: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(begun)
        deadline = time.monotonic() + 20
        try:
            while time.monotonic() < deadline:
                connection.sendall(b"P")
                time.sleep(0.1)
        except OSError:
            return
    raise AssertionError("the connection was still open after 20 seconds")


def test_a_slow_body_is_read_as_long_as_it_advances(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        for _ in range(2):
            connection.sendall(HEAD)
            for byte in (b"a", b"b", b"c", b"d"):
                time.sleep(0.25)
                connection.sendall(byte)
            answer = connection.recv(1000)
            while not answer.endswith(b"abcd"):
                answer += connection.recv(1000)
            assert answer.startswith(b"HTTP/1.1 200 ")
