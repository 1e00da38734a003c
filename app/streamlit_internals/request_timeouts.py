"""Closes connections whose request does not arrive in time; uvicorn, which Streamlit starts itself, has no such option.

Without it, a stranger could hold any number of connections with half a request each. The keep-alive timeout between
requests is uvicorn's own. Remove when uvicorn has timeouts for requests (tests/ui/test_request_timeouts.py).
"""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

# For the whole head of a request, and for each further part of its body.
HEAD_S = BODY_PART_S = 20.0
# For a whole body: a large upload on a slow line, but not one byte every 19 seconds.
BODY_S = 300.0
TIMED_OUT = (
    b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-type: text/plain; charset=utf-8\r\n"
    b"content-length: 36\r\n\r\nThe request did not arrive in time.\n"
)


def install() -> None:
    """Makes uvicorn close connections that wait for a request too long."""
    made, received, lost = H11Protocol.connection_made, H11Protocol.data_received, H11Protocol.connection_lost

    def connection_made(self: H11Protocol, transport: Any) -> None:
        made(self, transport)
        _Watch.of(self).look()

    def data_received(self: H11Protocol, data: bytes) -> None:
        watch = _Watch.of(self)
        watch.heard = True
        received(self, data)
        watch.look()

    def connection_lost(self: H11Protocol, exc: Exception | None) -> None:
        _Watch.of(self).stop()
        lost(self, exc)

    H11Protocol.connection_made = connection_made  # type: ignore[method-assign]
    H11Protocol.data_received = data_received  # type: ignore[method-assign]
    H11Protocol.connection_lost = connection_lost  # type: ignore[method-assign]


class _Watch:
    """The timer of one connection."""

    def __init__(self, protocol: H11Protocol) -> None:
        self._protocol = protocol
        # Whether anything of the request came: browsers open connections ahead, and drop them without a word.
        self.heard = False
        self._awaited: Any = None
        self._since = 0.0
        self._timer: asyncio.TimerHandle | None = None

    @classmethod
    def of(cls, protocol: H11Protocol) -> _Watch:
        """Returns the watch of a connection, the same one each time."""
        watch: _Watch | None = getattr(protocol, "atelier_watch", None)
        if watch is None:
            watch = protocol.atelier_watch = cls(protocol)  # type: ignore[attr-defined]
        return watch

    def look(self) -> None:
        """Starts, extends or stops the timer, by what the client owes now."""
        awaited, now = self._protocol.conn.their_state, self._protocol.loop.time()
        if awaited not in (h11.IDLE, h11.SEND_BODY):
            self.stop()
            return
        if awaited is not self._awaited or self._timer is None:
            self._awaited, self._since = awaited, now
        # A new part extends the time for a body only.
        elif awaited is h11.IDLE:
            return
        within = HEAD_S if awaited is h11.IDLE else min(BODY_PART_S, max(0.0, self._since + BODY_S - now))
        self._restart(within)

    def stop(self) -> None:
        """Ends the timer."""
        self._awaited, self.heard = None, False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _restart(self, within_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._protocol.loop.call_later(within_s, self._expire)

    def _expire(self) -> None:
        protocol, self._timer = self._protocol, None
        if protocol.transport.is_closing() or protocol.transport.get_protocol() is not protocol:
            return
        if protocol.flow.read_paused:
            # The application has not taken what came: the client cannot send more.
            self._restart(BODY_PART_S)
            return
        answered = self._awaited is h11.SEND_BODY and protocol.cycle.response_started
        if self.heard and not answered:
            protocol.transport.write(TIMED_OUT)
        protocol.transport.close()
