"""Bounds what the server keeps of a WebSocket message that is still arriving.

Streamlit 1.67 has one option for both directions (maxMessageSize), and what pages are sent is larger than what they
send. Remove when it has one for each (tests/ui/test_incoming_messages.py).
"""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol


def install(most_bytes: int) -> None:
    """Makes uvicorn close a WebSocket whose message exceeds `most_bytes`, also before its last fragment came."""
    made = WebSocketsSansIOProtocol.__init__

    def init(self: WebSocketsSansIOProtocol, *args: Any, **kwargs: Any) -> None:
        made(self, *args, **kwargs)
        self.conn.max_message_size = most_bytes

    WebSocketsSansIOProtocol.__init__ = init  # type: ignore[method-assign]
