"""Tests of the limits on WebSockets: their number and the size of a message."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from app.middleware import socket_limits
from app.middleware.socket_limits import (
    MOST_MESSAGE_BYTES,
    MOST_STRANGERS_MESSAGE_BYTES,
    TOO_BIG,
    TRY_AGAIN_LATER,
    SocketLimits,
)

MIA, NOBODY = {"cookie": "who=mia"}, {"cookie": ""}


def studio_of(*addresses: str) -> list[TestClient]:
    """Returns clients of one studio, by their addresses."""

    async def talk(socket: WebSocket) -> None:
        await socket.accept()
        try:
            while True:
                await socket.send_text(str(len(await socket.receive_bytes())))
        except WebSocketDisconnect:
            pass

    limits = Middleware(SocketLimits, named=lambda cookies: cookies.get("who"))
    app = Starlette(routes=[WebSocketRoute("/stream", talk)], middleware=[limits])
    return [TestClient(app, client=(address, 50000)) for address in addresses]


@pytest.fixture
def client() -> TestClient:
    return studio_of("10.0.0.1")[0]


@pytest.mark.parametrize(("headers", "limit"), [(MIA, "MOST_OF_ONE_USER"), (NOBODY, "MOST_OF_STRANGERS")])
def test_no_more_sockets_are_opened_than_allowed(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, headers: dict[str, str], limit: str
) -> None:
    monkeypatch.setattr(socket_limits, limit, 3)
    with ExitStack() as sockets:
        for _ in range(3):
            sockets.enter_context(client.websocket_connect("/stream", headers=headers))
        with (
            pytest.raises(WebSocketDisconnect) as refused,
            client.websocket_connect("/stream", headers=headers),
        ):
            pass
        assert refused.value.code == TRY_AGAIN_LATER
        # Others are not affected.
        other = {"cookie": "who=leo"}
        with client.websocket_connect("/stream", headers=other) as socket:
            socket.send_bytes(b"x")
            assert socket.receive_text() == "1"
    with client.websocket_connect("/stream", headers=headers) as again:
        again.send_bytes(b"x")
        assert again.receive_text() == "1"


@pytest.mark.parametrize(
    ("address", "same", "other"),
    [("8.8.8.8", "8.8.8.8", "8.8.4.4"), ("2600:1f18::1", "2600:1f18::ffff", "2600:1f19::1")],
)
def test_a_stranger_at_one_address_does_not_take_all_sockets(
    monkeypatch: pytest.MonkeyPatch, address: str, same: str, other: str
) -> None:
    monkeypatch.setattr(socket_limits, "MOST_OF_ONE_ADDRESS", 3)
    monkeypatch.setattr(socket_limits, "MOST_OF_STRANGERS", 5)
    one, again, another = studio_of(address, same, other)
    with ExitStack() as sockets:
        for _ in range(3):
            sockets.enter_context(one.websocket_connect("/stream", headers=NOBODY))
        with pytest.raises(WebSocketDisconnect), again.websocket_connect("/stream", headers=NOBODY):
            pass
        # A user at that address is not affected, nor is a stranger elsewhere.
        sockets.enter_context(again.websocket_connect("/stream", headers=MIA))
        sockets.enter_context(another.websocket_connect("/stream", headers=NOBODY))
    with again.websocket_connect("/stream", headers=NOBODY):
        pass


def test_strangers_behind_a_private_address_share_only_the_total(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket_limits, "MOST_OF_ONE_ADDRESS", 1)
    (proxied,) = studio_of("10.0.0.1")
    with ExitStack() as sockets:
        for _ in range(3):
            sockets.enter_context(proxied.websocket_connect("/stream", headers=NOBODY))


@pytest.mark.parametrize(
    ("headers", "most"), [(MIA, MOST_MESSAGE_BYTES), (NOBODY, MOST_STRANGERS_MESSAGE_BYTES)]
)
def test_a_message_that_is_too_large_closes_the_socket(
    client: TestClient, headers: dict[str, str], most: int
) -> None:
    with client.websocket_connect("/stream", headers=headers) as socket:
        socket.send_bytes(b"x" * most)
        assert socket.receive_text() == str(most)
        socket.send_bytes(b"x" * (most + 1))
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_text()
        assert closed.value.code == TOO_BIG
