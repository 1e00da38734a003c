"""Access control for the embedded cloud: local programs and the studio's pages may use it, other sites may not."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any, Protocol
from urllib.parse import parse_qs, quote

from local.cloud.journal import NotDurable
from local.cloud.presigned import is_presigned
from local.cloud.presigned import refusal as link_refusal
from local.cloud.recorder import READS, writes

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

CONTROL = "/_ministack/"
HARMLESS = frozenset({"/_ministack/ready", "/_ministack/health"})
RESET = "/_ministack/reset"
SNAPSHOT = "/_atelier/snapshot"
# All that a browser needs here: the hosted sign-in, whose styles are inline, and the links to pictures and ZIPs.
PAGES = frozenset({("GET", "/oauth2/authorize"), ("GET", "/logout"), ("POST", "/login")})
PICTURES = ("/atelier-images/", "/atelier-outputs/", "/atelier-inputs/", "/atelier-library/exports/")
HARMLESS_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (
        b"content-security-policy",
        b"sandbox; default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'",
    ),
)
FETCH_METADATA = ("origin", "sec-fetch-site", "sec-fetch-mode", "sec-fetch-dest")
# Only the last minutes of metrics matter, and the worker sends one with every sweep.
NOT_KEPT = ("ReceiveMessage", "PutMetricData")


class Keeper(Protocol):
    """Keeps what MiniStack acknowledges; see `durability.py`."""

    def check_room(self) -> None:
        """Raises NotDurable if a change could not be kept now."""

    async def record(self, service: str, headers: Mapping[str, str]) -> None:
        """Returns when what a request to `service` changed is kept. Raises NotDurable."""

    async def record_reset(self) -> None:
        """Returns when it is kept that everything is gone. Raises NotDurable."""


class Doorman:
    """ASGI middleware in front of MiniStack, which on its own accepts requests from any web page and for any host.

    Through the browser of the person who runs the studio, a page of another site could read the tables, post a
    reset, or change data with an image whose address is an API call (`/?Action=...`, sent without an `Origin`).
    Therefore this accepts only loopback host names (no DNS rebinding) and the studio's own origins, serves browsers
    only the sign-in pages and presigned objects, refuses API calls in a URL, and opens the control paths only
    to test runs that enable them. It also counts state changes for the snapshots.
    """

    def __init__(
        self,
        app: App,
        *,
        port: int,
        origins: Iterable[str],
        allow_reset: bool,
        save: Callable[[], Awaitable[int]],
        keep: Keeper,
        secret: str,
    ) -> None:
        """`secret` is the key with which the studio signs its links."""
        self._app = app
        self._secret = secret
        self._hosts = (f"localhost:{port}", f"127.0.0.1:{port}")
        self._origins = {f"http://{host}" for host in self._hosts} | set(origins)
        self._allow_reset = allow_reset
        self._save = save
        self._keep = keep
        self.changes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            # Any page can open a WebSocket, and the studio uses none.
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        path: str = scope["path"]
        query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        refusal = self._refusal(scope["method"], path, query, headers) or self._link_refusal(scope, headers)
        if refusal:
            await _answer(send, 403, {"message": refusal})
        elif path == SNAPSHOT and scope["method"] == "POST":
            await _answer(send, 200, {"size_bytes": await self._save()})
        elif (service := writes(scope["method"], path, headers)) is not None:
            await self._kept(lambda: self._keep.record(service, headers), scope, receive, send)
        elif path == RESET:
            await self._kept(self._keep.record_reset, scope, receive, send)
        else:
            await self._app(scope, receive, _harmless(send) if path.startswith(PICTURES) else send)
            if _changes_state(scope["method"], path, headers):
                self.changes += 1

    def _link_refusal(self, scope: Scope, headers: dict[str, str]) -> str:
        """Returns why a presigned link is refused; empty if it is valid, or the request is none."""
        query = scope["query_string"].decode("latin-1")
        if not is_presigned(query):
            return ""
        path = scope.get("raw_path", b"").decode("latin-1") or quote(scope["path"])
        return link_refusal(scope["method"], path, query, headers, secret=self._secret)

    async def _kept(
        self, record: Callable[[], Awaitable[None]], scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Lets a request in that changes tables or accounts, and answers it when the change is on disk.

        Answers 503, which boto3 repeats, when it cannot be written there.
        """
        recorded = refused = False

        async def send_when_kept(message: Message) -> None:
            nonlocal recorded, refused
            if not recorded:
                recorded = True
                try:
                    await record()
                except NotDurable as exc:
                    refused = True
                    await _answer(send, 503, _unavailable(exc))
            if not refused:
                await send(message)

        try:
            self._keep.check_room()
        except NotDurable as exc:
            await _answer(send, 503, _unavailable(exc))
        else:
            await self._app(scope, receive, send_when_kept)

    def _refusal(self, method: str, path: str, query: dict[str, list[str]], headers: dict[str, str]) -> str:
        """Return why this request is refused, or an empty string if it is allowed."""
        host = headers.get("host", "")
        if host not in self._hosts and not host.endswith(f".{self._hosts[0]}"):
            return f"the embedded cloud answers as {self._hosts[0]} only, not as {host!r}"
        origin = headers.get("origin")
        if origin is not None and origin not in self._origins:
            return f"pages of {origin} may not use the embedded cloud"
        if any(name.casefold() == "action" for name in query):
            return (
                "API calls are sent as a POST whose body names the action, as boto3 does, not by the address"
            )
        from_browser = _is_from_browser(headers)
        if path.startswith("/_") and path not in HARMLESS:
            if from_browser:
                return "control paths are not for browsers"
            if path != SNAPSHOT and not (path == RESET and self._allow_reset):
                return f"{path} is not available here"
        if from_browser and not (
            _is_sign_in(method, path, headers) or (host in self._hosts and _is_link(method, path, query))
        ):
            return "browsers get the sign-in pages and presigned links here, nothing else"
        return ""


def _is_from_browser(headers: dict[str, str]) -> bool:
    # A page can send a request without an Origin, but can neither omit nor change the other headers.
    return (
        any(name in headers for name in FETCH_METADATA) or "mozilla" in headers.get("user-agent", "").lower()
    )


def _is_sign_in(method: str, path: str, headers: dict[str, str]) -> bool:
    # Browsers send the origin of every form they post, so a post without one does not come from the sign-in page.
    return (method, path) in PAGES and (method == "GET" or "origin" in headers)


def _is_link(method: str, path: str, query: dict[str, list[str]]) -> bool:
    """Whether the request reads one object by a presigned link; the link states the service it was signed for."""
    scopes = query.get("X-Amz-Credential", [""])
    return (
        method in ("GET", "HEAD")
        and path.startswith(PICTURES)
        and path not in PICTURES
        # Besides pictures and ZIPs, the buckets hold the model's requests and responses, and the export requests.
        and not path.endswith(".json")
        and "X-Amz-Signature" in query
        and all(scope.endswith("/s3/aws4_request") for scope in scopes)
    )


def _changes_state(method: str, path: str, headers: dict[str, str]) -> bool:
    if method in ("GET", "HEAD", "OPTIONS") or path.startswith(CONTROL):
        # The hosted sign-in creates its sessions by POST; its GETs only show pages.
        return False
    action = headers.get("x-amz-target", "").rpartition(".")[2]
    return not action.startswith(READS + NOT_KEPT)


def _harmless(send: Send) -> Send:
    """Adds headers that keep an object from running as a page of this origin, whatever it holds."""

    async def with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *HARMLESS_HEADERS]
        await send(message)

    return with_headers


def _unavailable(exc: NotDurable) -> dict[str, Any]:
    return {"__type": "ServiceUnavailable", "message": str(exc)}


async def _answer(send: Send, status: int, body: dict[str, Any]) -> None:
    text = json.dumps(body).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(text)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text})
