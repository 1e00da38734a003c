"""Sends each response at once. Streamlit 1.67 binds its socket so that asyncio does not disable Nagle's algorithm.

asyncio sets TCP_NODELAY only for sockets whose protocol number is stated, and Streamlit's has 0. The server writes head
and body separately, so that every answer on a kept connection waited 40 ms for the client's delayed acknowledgment.
Remove when Streamlit states the protocol (tests/ui/test_no_delay.py).
"""

from __future__ import annotations

import socket
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol


def install() -> None:
    """Makes uvicorn set TCP_NODELAY on every connection; a WebSocket begins as one of HTTP."""
    made = H11Protocol.connection_made

    def connection_made(self: H11Protocol, transport: Any) -> None:
        connection = transport.get_extra_info("socket")
        if connection is not None and connection.family in (socket.AF_INET, socket.AF_INET6):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made(self, transport)

    H11Protocol.connection_made = connection_made  # type: ignore[method-assign]
