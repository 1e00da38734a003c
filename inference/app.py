"""The HTTP interface: `/ping` and `/invocations` as an ASGI application. It never blocks its event loop."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from inference.contract import Canceled, Payload, error_body, parse_payload
from inference.engine import Engine
from inference.errors import InferenceError, InvalidRequest, ModelError
from inference.finishing import Finishing
from inference.logs import describe_failure, log
from inference.pipelines.family import ModelLimits
from inference.tickets import Outcome, Ticket

MAX_BODY_BYTES = 16 * 1024 * 1024
# How much of an oversized body is read and dropped, so that the client sees the answer.
MAX_DRAIN_BYTES = 8 * MAX_BODY_BYTES
BODY_TIMEOUT_S = 60.0
# Longer bodies contain pictures: parsing them would block the event loop for too long.
MAX_BODY_BYTES_ON_LOOP = 32 * 1024
JSON_TYPE = "application/json"

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class ClientGone(Exception):
    """The client disconnected, so there is no one to answer."""


class App:
    """ASGI application over one engine."""

    def __init__(self, engine: Engine, limits: ModelLimits, finishing: Finishing) -> None:
        self._engine = engine
        self._limits = limits
        self._finishing = finishing
        self._open = 0

    def is_idle(self) -> bool:
        """Return whether every accepted request has been answered."""
        return self._open == 0

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"only HTTP is served, not {scope['type']}")
        route = scope["method"], scope["path"]
        try:
            if route == ("GET", "/ping"):
                await self._ping(send)
            elif route == ("POST", "/invocations"):
                await self._invoke(scope, receive, send)
            elif scope["path"] in ("/ping", "/invocations"):
                allowed = "GET" if scope["path"] == "/ping" else "POST"
                raise InvalidRequest(f"Use {allowed} for {scope['path']}.", status=405)
            else:
                raise InvalidRequest("There is GET /ping and POST /invocations here.", status=404)
        except ClientGone:
            return
        except InferenceError as exc:
            await _send_error(send, exc)
        except Exception as exc:  # noqa: BLE001 - the edge: our own errors are answers too
            log("error", "answer_failed", **describe_failure(exc))
            await _send_error(send, ModelError("The server failed to answer; its log says where."))

    async def _ping(self, send: Send) -> None:
        state = "hung" if self._engine.is_hung() else self._engine.state
        await _send_json(send, 200 if state == "ready" else 503, json.dumps({"status": state}).encode())

    async def _invoke(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        received = time.monotonic()
        # Read the body first: a client that is still sending would not see the refusal.
        body = await _read_body(scope["headers"], receive)
        _check_sender(scope["headers"])
        if len(body) > MAX_BODY_BYTES_ON_LOOP:
            payload = await asyncio.to_thread(self._read, body)
        else:
            payload = self._read(body)
        # Only the pixels are needed from here on.
        del body
        ticket = self._engine.submit(payload, received)
        self._open += 1
        try:
            await _send_json(send, 200, await self._answer(ticket, receive, received))
        finally:
            self._open -= 1

    def _read(self, body: bytes) -> Payload:
        payload = parse_payload(body)
        self._limits.check(payload)
        return payload

    async def _answer(self, ticket: Ticket, receive: Receive, received: float) -> bytes:
        outcome = await self._wait(ticket, receive)
        model = self._engine.model
        if outcome.drawing is None:
            canceled = Canceled(step=outcome.step, gpu_s=round(outcome.gpu_s, 4))
            return canceled.model_dump_json().encode()
        if model is None:
            raise RuntimeError("pictures without a model")
        # Off the event loop and the model thread, which can draw the next requests in the meantime.
        return await asyncio.to_thread(
            self._finishing.answer, model, ticket, outcome, outcome.drawing, received
        )

    async def _wait(self, ticket: Ticket, receive: Receive) -> Outcome:
        """Return the outcome; abandons the request and raises `ClientGone` when the client hangs up.

        At its deadline the request is answered from here, even when the model thread hangs.
        """
        done: asyncio.Future[Any] = asyncio.wrap_future(ticket.done)
        gone: asyncio.Future[Any] = asyncio.ensure_future(_wait_for_disconnect(receive))
        left_s = None if ticket.expires is None else max(0.0, ticket.expires - time.monotonic())
        try:
            await asyncio.wait([done, gone], timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
            if not done.done() and not gone.done():
                self._engine.expire(ticket)
                # Not `done`: it is set only in the loop's next iteration.
                ended: Outcome = ticket.done.result()
                return ended
            if not done.done():
                self._engine.abandon(ticket)
                log("info", "client_gone", job=ticket.payload.job.prefix if ticket.payload.job else None)
                raise ClientGone
            if done.cancelled():
                raise ClientGone
            outcome: Outcome = done.result()
            return outcome
        finally:
            gone.cancel()
            done.cancel()


def _check_sender(headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Raise `InvalidRequest` (403, 415) for what web pages can send without asking: the model is for programs.

    Beside the studio on a laptop, any page in the browser can post a form or plain text to this port; every
    other type of content makes the browser ask first, which is refused as well.
    """
    found = {name.lower(): value.decode("latin-1") for name, value in headers}
    if b"origin" in found:
        raise InvalidRequest("Web pages cannot use this server: ask it from a program.", status=403)
    kind = found.get(b"content-type", "")
    if kind.partition(";")[0].strip().lower() != JSON_TYPE:
        raise InvalidRequest(
            f"Send the request as Content-Type: {JSON_TYPE}, not {kind[:100] or 'without a type'}.",
            status=415,
        )


async def _read_body(headers: Iterable[tuple[bytes, bytes]], receive: Receive) -> bytes:
    """Return the whole body; raises `InvalidRequest` (413, 408) when it is too large or too slow."""
    chunks: list[bytes] = []
    size_bytes = 0
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            more = True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientGone
                chunk = message.get("body", b"")
                more = message.get("more_body", False)
                size_bytes += len(chunk)
                if size_bytes <= MAX_BODY_BYTES:
                    chunks.append(chunk)
                elif size_bytes > MAX_DRAIN_BYTES:
                    break
    except TimeoutError:
        raise InvalidRequest(
            f"The body did not arrive within {BODY_TIMEOUT_S:.0f} s: send it again.", status=408
        ) from None
    if size_bytes > MAX_BODY_BYTES:
        raise InvalidRequest(
            f"The body is larger than {MAX_BODY_BYTES // 1024 // 1024} MiB: send a smaller one.", status=413
        )
    return b"".join(chunks)


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send_error(send: Send, error: InferenceError) -> None:
    headers = [(b"connection", b"close")] if error.status in (408, 413) else []
    if error.retry_after_s is not None:
        headers.append((b"retry-after", str(error.retry_after_s).encode()))
    await _send_json(send, error.status, json.dumps(error_body(error)).encode(), headers)


async def _send_json(
    send: Send, status: int, body: bytes, headers: Iterable[tuple[bytes, bytes]] = ()
) -> None:
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [
                (b"content-type", b"application/json"),
                (b"content-length", str(len(body)).encode()),
                *headers,
            ],
        }
    )
    await send({"type": "http.response.body", "body": body})
