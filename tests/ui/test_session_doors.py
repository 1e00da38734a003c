"""Tests of what bounds the uploads in the server's memory, with Streamlit's own upload store."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket
from streamlit.runtime import Runtime
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.uploaded_file_manager import UploadedFileRec

from app.middleware import session_doors
from app.middleware.session_doors import MEBIBYTE, SessionDoors
from app.streamlit_internals.session_files import SessionFiles
from services.errors import Unavailable

MIA = {"who": "mia"}


@pytest.fixture
def open_sessions() -> dict[str, Mapping[str, str]]:
    """The cookies of each session with a socket."""
    return {f"s{n}": MIA for n in range(20)}


@pytest.fixture
def store(
    monkeypatch: pytest.MonkeyPatch, open_sessions: dict[str, Mapping[str, str]]
) -> MemoryUploadedFileManager:
    """Streamlit's store in a runtime with these sessions."""
    store = MemoryUploadedFileManager("/_stcore/upload_file")

    def info(session_id: str) -> object:
        cookies = open_sessions.get(session_id)
        client = SimpleNamespace(client_context=SimpleNamespace(cookies=cookies))
        return None if cookies is None else SimpleNamespace(client=client)

    manager = SimpleNamespace(get_active_session_info=info)
    runtime = SimpleNamespace(uploaded_file_mgr=store, _session_mgr=manager)
    monkeypatch.setattr(Runtime, "instance", lambda: runtime)
    return store


def site(store: MemoryUploadedFileManager) -> TestClient:
    """An upload route that keeps what it gets, and a socket that ends at once."""

    async def keep(request: Request) -> Response:
        session, file = request.path_params["session"], request.path_params["file"]
        body = await request.body()
        store.add_file(session, UploadedFileRec(file_id=file, name=file, type="image/png", data=body))
        return PlainTextResponse("")

    async def stream(socket: WebSocket) -> None:
        await socket.accept()
        await socket.close()

    routes = [
        Route("/_stcore/upload_file/{session}/{file}", keep, methods=["PUT"]),
        WebSocketRoute("/_stcore/stream", stream),
    ]
    doors = Middleware(
        SessionDoors,
        files=SessionFiles(),
        named=lambda cookies: cookies.get("who"),
        signed_in=lambda cookies: cookies.get("who"),
    )
    return TestClient(Starlette(routes=routes, middleware=[doors]), cookies=MIA)


def put(client: TestClient, session: str, file: str, size: int) -> int:
    return client.put(f"/_stcore/upload_file/{session}/{file}", content=bytes(size)).status_code


def test_a_session_and_the_process_keep_a_bounded_number_of_bytes(
    store: MemoryUploadedFileManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_doors, "MOST_SESSION_BYTES", 2 * MEBIBYTE)
    monkeypatch.setattr(session_doors, "MOST_PROCESS_BYTES", 5 * MEBIBYTE)
    client = site(store)
    assert [put(client, "s1", f"f{n}", MEBIBYTE) for n in range(3)] == [200, 200, 413]
    assert [put(client, f"s{n}", "f", MEBIBYTE) for n in range(2, 6)] == [200, 200, 200, 503]
    store.remove_file("s1", "f0")
    assert put(client, "s5", "f", MEBIBYTE) == 200


def test_uploads_go_with_the_socket_of_their_session_and_no_other(
    store: MemoryUploadedFileManager, open_sessions: dict[str, Mapping[str, str]]
) -> None:
    client = site(store)
    assert [put(client, session, "f", 10) for session in ("s1", "s2")] == [200, 200]
    del open_sessions["s1"]
    with client.websocket_connect("/_stcore/stream"):
        pass
    assert [bool(store.file_storage.get(session)) for session in ("s1", "s2")] == [False, True]


def test_an_upload_is_refused_while_the_accounts_cannot_be_asked(store: MemoryUploadedFileManager) -> None:
    def away(_: Mapping[str, str]) -> str:
        raise Unavailable("DynamoDB did not answer.")

    doors = Middleware(SessionDoors, files=SessionFiles(), named=away, signed_in=away)
    client = TestClient(Starlette(middleware=[doors]), cookies=MIA)
    assert put(client, "s1", "f", 10) == 503
