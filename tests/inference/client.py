"""HTTP client of the tests: every answer is read completely."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

PAYLOAD: dict[str, Any] = {
    "prompt": "a red apple",
    "negative_prompt": "",
    "width": 64,
    "height": 64,
    "num_inference_steps": 3,
    "guidance_scale": 4.0,
    "scheduler": "ddim",
    "seed": 7,
    "num_images_per_prompt": 1,
}


@dataclass(frozen=True)
class Answer:
    """One HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, parsed as JSON."""
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        """The error in the body."""
        error: dict[str, Any] = self.json["error"]
        return error


def ask(
    port: int,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
    timeout_s: float = 60.0,
) -> Answer:
    """Send one request on its own connection; a body is sent as JSON unless `headers` are given."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    try:
        as_json = {"Content-Type": "application/json"} if body is not None else {}
        connection.request(method, path, body, as_json if headers is None else headers)
        response = connection.getresponse()
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
    finally:
        connection.close()


def invoke(port: int, timeout_s: float = 60.0, **changes: Any) -> Answer:
    """POST the default payload with `changes` to /invocations."""
    body = json.dumps({**PAYLOAD, **changes}).encode()
    return ask(port, "POST", "/invocations", body, timeout_s=timeout_s)


def wait_until(condition: Callable[[], Any], what: str, timeout_s: float = 30.0) -> Any:
    """Poll `condition` 50 times a second and return its first true value; fails the test at the timeout."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"not within {timeout_s} s: {what}")


def send_and_keep_open(port: int, **changes: object) -> socket.socket:
    """POST the default payload with `changes`, and return the connection without reading the answer."""
    body = json.dumps({**PAYLOAD, **changes}).encode()
    connection = socket.create_connection(("127.0.0.1", port), timeout=20)
    connection.sendall(
        b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n" % len(body) + body
    )
    return connection
