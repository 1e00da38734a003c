"""Tests that small responses are sent at once on connections that are kept."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from streamlit.web.server.starlette.starlette_server import _bind_socket
from uvicorn.protocols.http.h11_impl import H11Protocol

from app.streamlit_internals import no_delay


async def hello(_: Request) -> Response:
    return PlainTextResponse("hello")


@pytest.fixture
def options(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """TCP_NODELAY of each connection of a server on Streamlit's socket, after its protocol was set up."""
    found: list[int] = []
    made = H11Protocol.connection_made

    def connection_made(self: H11Protocol, transport: Any) -> None:
        made(self, transport)
        connection = transport.get_extra_info("socket")
        found.append(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    monkeypatch.setattr(H11Protocol, "connection_made", connection_made)
    yield found


def ask_once() -> None:
    with _bind_socket("127.0.0.1", 0, 10) as listener:
        server = uvicorn.Server(
            uvicorn.Config(Starlette(routes=[Route("/", hello)]), log_config=None, lifespan="off")
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        with socket.create_connection(listener.getsockname(), timeout=20) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert connection.recv(1000).startswith(b"HTTP/1.1 200 ")
        server.should_exit = True
        thread.join(timeout=10)
        assert not thread.is_alive()


def test_streamlits_socket_still_needs_this(options: list[int]) -> None:
    ask_once()
    assert options == [0], (
        "Streamlit's connections have TCP_NODELAY: app/streamlit_internals/no_delay.py can go"
    )


def test_connections_do_not_wait_for_acknowledgments(
    options: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(H11Protocol, "connection_made", H11Protocol.connection_made)
    no_delay.install()
    # The outermost wrapper sets the option first, and the fixture's reads it.
    ask_once()
    assert options == [1]
