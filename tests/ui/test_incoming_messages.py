"""Tests that a WebSocket message is bounded while it arrives, over a real socket."""

from __future__ import annotations

import inspect
import socket
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect
from streamlit.web.server.starlette import starlette_server
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import connect

from app.streamlit_internals import incoming_messages

MOST = 100_000


async def measure(socket: WebSocket) -> None:
    await socket.accept()
    try:
        while True:
            await socket.send_text(str(len(await socket.receive_bytes())))
    except WebSocketDisconnect:
        pass


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(WebSocketsSansIOProtocol, "__init__", WebSocketsSansIOProtocol.__init__)
    incoming_messages.install(MOST)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(
            Starlette(routes=[WebSocketRoute("/", measure)]),
            ws=starlette_server._get_websocket_protocol(),
            log_config=None,
            lifespan="off",
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield f"ws://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join(timeout=10)


def test_a_message_that_never_ends_is_not_kept(url: str) -> None:
    def fragments() -> Iterator[bytes]:
        for _ in range(200):
            yield b"x" * 10_000
        raise AssertionError("two megabytes of an unfinished message were taken")

    # The server closes with 1009, which a client that goes on sending does not always read.
    with connect(url) as one, pytest.raises(ConnectionClosedError):
        one.send(fragments())


def test_a_message_within_the_limit_arrives(url: str) -> None:
    with connect(url) as one:
        one.send(b"x" * MOST)
        assert one.recv() == str(MOST)


def test_streamlit_still_has_one_limit_for_both_directions() -> None:
    """incoming_messages.py"""
    assert "ws_max_size = get_max_message_size_bytes()" in inspect.getsource(starlette_server)
