"""Reads what a client still sends after its request was answered, so that it sees the answer."""

from __future__ import annotations

import anyio
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Sixteen times the largest body that is read; reading a gigabyte only to discard it takes a second of the processor.
MOST_BYTES = 256 * 1024 * 1024
MOST_S = 20.0


class UnreadBody:
    """Answers at once, then discards the rest of the request's body, within limits of size and time.

    Most clients read an answer only after they have sent everything; hanging up earlier resets the connection, and they
    would never see it. Nothing of the body is kept.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _has_body(scope):
            await self.app(scope, receive, send)
            return
        more_to_come = True

        async def note_end() -> Message:
            nonlocal more_to_come
            message = await receive()
            if message["type"] != "http.request" or not message.get("more_body", False):
                more_to_come = False
            return message

        async def drain() -> None:
            left = MOST_BYTES
            while more_to_come and left > 0:
                left -= len((await note_end()).get("body", b""))

        async def send_and_drain(message: Message) -> None:
            if message["type"] == "http.response.start" and more_to_come:
                MutableHeaders(scope=message)["connection"] = "close"
            ends = message["type"] == "http.response.body" and not message.get("more_body", False)
            if not ends or not more_to_come:
                await send(message)
                return
            await send({**message, "more_body": True})
            with anyio.move_on_after(MOST_S):
                await drain()
            await send({"type": "http.response.body", "body": b"", "more_body": False})

        await self.app(scope, note_end, send_and_drain)


def _has_body(scope: Scope) -> bool:
    headers = dict(scope["headers"])
    return b"transfer-encoding" in headers or headers.get(b"content-length", b"0") != b"0"
