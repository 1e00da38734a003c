"""Lets only its signed-in owner reach what a page's session keeps in the server's memory: uploads and downloads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Protocol

from anyio import to_thread
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.streamlit_internals.session_files import file_id_of
from services.errors import Unavailable

UPLOADS = "/_stcore/upload_file"
MEDIA = "/media"
STREAM = "/_stcore/stream"
MEBIBYTE = 1024 * 1024
# Twice the largest single file (maxUploadSize in .streamlit/config.toml).
MOST_SESSION_BYTES = 64 * MEBIBYTE
MOST_PROCESS_BYTES = 512 * MEBIBYTE
# What an upload of unknown length may become: the largest file, and the multipart frame around it.
UNKNOWN_BYTES = 33 * MEBIBYTE
NEEDS_NO_OWNER = ("OPTIONS",)

Who = Callable[[Mapping[str, str]], str | None]


class Files(Protocol):
    """What is kept for sessions; `app.streamlit_internals.session_files` has the real one."""

    def cookies_of(self, session_id: str) -> Mapping[str, str] | None: ...
    def sessions_of(self, file_id: str) -> frozenset[str]: ...
    def uploaded_bytes(self) -> dict[str, int]: ...
    def drop_abandoned(self) -> None: ...


class SessionDoors:
    """Guards the routes of uploads and media. `named` reads cookies, `signed_in` also asks the accounts."""

    def __init__(self, app: ASGIApp, *, files: Files, named: Who, signed_in: Who) -> None:
        self.app = app
        self.files = files
        self.named = named
        self.signed_in = signed_in
        # Bytes of uploads under way, by session.
        self.coming: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if scope["type"] == "websocket" and path == STREAM:
            try:
                await self.app(scope, receive, send)
            finally:
                self.files.drop_abandoned()
        elif scope["type"] == "http" and _below(path, UPLOADS) and scope["method"] not in NEEDS_NO_OWNER:
            await self._upload(scope, receive, send)
        elif scope["type"] == "http" and _below(path, MEDIA) and scope["method"] not in NEEDS_NO_OWNER:
            await self._media(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _upload(self, scope: Scope, receive: Receive, send: Send) -> None:
        session_id = scope["path"].removeprefix(UPLOADS).strip("/").partition("/")[0]
        refusal = await self._refusal(scope, frozenset((session_id,)))
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        size = _announced_bytes(scope) if scope["method"] == "PUT" else 0
        held = self.files.uploaded_bytes()
        if size and held.get(session_id, 0) + self.coming[session_id] + size > MOST_SESSION_BYTES:
            await _answer(413, "This page holds too many files. Remove one first.")(scope, receive, send)
            return
        if size and sum(held.values()) + self.coming.total() + size > MOST_PROCESS_BYTES:
            busy = _answer(503, "Too many uploads at once. Try again in a few seconds.")
            busy.headers["retry-after"] = "10"
            await busy(scope, receive, send)
            return
        self.coming[session_id] += size
        try:
            await self.app(scope, receive, send)
        finally:
            self.coming[session_id] -= size
            if not self.coming[session_id]:
                del self.coming[session_id]
            # The socket may have closed while the file was on its way.
            self.files.drop_abandoned()

    async def _media(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = await self._refusal(scope, self.files.sessions_of(file_id_of(scope["path"])))
        if refusal is not None:
            await refusal(scope, receive, send)
            return

        async def send_uncached(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["cache-control"] = "no-store"
            await send(message)

        await self.app(scope, receive, send_uncached)

    async def _refusal(self, scope: Scope, sessions: frozenset[str]) -> PlainTextResponse | None:
        """Returns the response for who is not signed in or owns none of the sessions; None for an owner."""
        try:
            user_id = await to_thread.run_sync(self.signed_in, Request(scope).cookies)
        except Unavailable as error:
            return _answer(503, error.message)
        if user_id is None:
            return _answer(401, "Sign in first.")
        opened = (self.files.cookies_of(session_id) for session_id in sessions)
        if not any(cookies is not None and self.named(cookies) == user_id for cookies in opened):
            return _answer(404, "Not found")
        return None


def _below(path: str, root: str) -> bool:
    return path == root or path.startswith(f"{root}/")


def _announced_bytes(scope: Scope) -> int:
    text = dict(scope["headers"]).get(b"content-length", b"")
    return int(text) if text.isdigit() else UNKNOWN_BYTES


def _answer(status: int, text: str) -> PlainTextResponse:
    return PlainTextResponse(text, status_code=status, headers={"cache-control": "no-store"})
