"""Bounds the WebSockets of pages: how many one visitor and all strangers hold, and the size of a message."""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Callable, Mapping

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.accounts.sign_in_backoff import customer_of

# A page needs one; the sign-in page too.
MOST_OF_STRANGERS, MOST_OF_ONE_USER = 200, 50
# So that one stranger does not take the sign-in page from all others.
MOST_OF_ONE_ADDRESS = 50
# The largest that a page sends is a painted mask; a stranger's page sends the name of a button.
MOST_MESSAGE_BYTES, MOST_STRANGERS_MESSAGE_BYTES = 2 * 1024 * 1024, 64 * 1024
TOO_BIG, TRY_AGAIN_LATER = 1009, 1013

STRANGER = ""


class SocketLimits:
    """Refuses WebSockets beyond the limits and closes those with too large a message. `named` reads cookies."""

    def __init__(self, app: ASGIApp, *, named: Callable[[Mapping[str, str]], str | None]) -> None:
        self.app = app
        self.named = named
        self.open: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            await self.app(scope, receive, send)
            return
        who = self.named(HTTPConnection(scope).cookies) or STRANGER
        limits = {who: MOST_OF_ONE_USER} if who else _limits_of_stranger(scope)
        if any(self.open[held] >= most for held, most in limits.items()):
            await receive()
            # Closed before it was accepted, which the server answers with a 403.
            await send({"type": "websocket.close", "code": TRY_AGAIN_LATER, "reason": "Too many connections"})
            return
        most_bytes = MOST_MESSAGE_BYTES if who else MOST_STRANGERS_MESSAGE_BYTES
        closed = False

        async def receive_bounded() -> Message:
            nonlocal closed
            message = await receive()
            if message["type"] == "websocket.receive" and _size(message) > most_bytes:
                closed = True
                await send({"type": "websocket.close", "code": TOO_BIG, "reason": "The message is too large"})
                return {"type": "websocket.disconnect", "code": TOO_BIG}
            return message

        async def send_unless_closed(message: Message) -> None:
            if not closed:
                await send(message)

        self.open.update(limits.keys())
        try:
            await self.app(scope, receive_bounded, send_unless_closed)
        finally:
            self.open.subtract(limits.keys())
            for held in limits:
                if not self.open[held]:
                    del self.open[held]


def _limits_of_stranger(scope: Scope) -> dict[str, int]:
    """Returns what a stranger's socket counts toward, and the most of each."""
    limits = {STRANGER: MOST_OF_STRANGERS}
    address = (scope.get("client") or ("",))[0]
    try:
        public = ipaddress.ip_address(address).is_global
    except ValueError:
        public = False
    # Another address may be a load balancer's, and then it is that of all strangers.
    if public:
        limits[f"address {customer_of(address)}"] = MOST_OF_ONE_ADDRESS
    return limits


def _size(message: Message) -> int:
    return len(message.get("bytes") or b"") + len(message.get("text") or "")
