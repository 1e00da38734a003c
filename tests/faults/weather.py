"""A bad network before AWS: a share of all calls is lost, throttled, reset, or answered with a server's error."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any, Literal, get_args

from botocore.awsrequest import AWSResponse
from botocore.exceptions import ConnectionClosedError
from botocore.httpsession import URLLib3Session

from services.aws.session import Clients

Fault = Literal["lost answer", "reset", "throttled", "server error"]
FAULTS: tuple[Fault, ...] = get_args(Fault)
SERVICES = ("dynamodb", "s3", "sqs")


class Weather:
    """Disturbs `share` of the calls of these clients, by a seeded generator; `fired` counts the faults by kind.

    A lost answer belongs to a call that was carried out; the calls of the other kinds never arrive.
    """

    def __init__(self, clients: Clients, *, seed: int, share: float) -> None:
        self._clients = [getattr(clients, name) for name in SERVICES]
        self._chance = random.Random(seed)
        self._share = share
        self._session = URLLib3Session()
        self.calls = 0
        self.fired: Counter[Fault] = Counter()

    def __enter__(self) -> Weather:
        for client, event in self._events():
            client.meta.events.register_first(event, self._disturb)
        return self

    def __exit__(self, *_: object) -> None:
        for client, event in self._events():
            client.meta.events.unregister(event, self._disturb)

    def _events(self) -> Iterator[tuple[Any, str]]:
        for client in self._clients:
            yield client, f"before-send.{client.meta.service_model.service_id.hyphenize()}"

    def _disturb(self, request: Any, **_: Any) -> AWSResponse | None:
        self.calls += 1
        if self._chance.random() >= self._share:
            return None
        fault = self._chance.choice(FAULTS)
        self.fired[fault] += 1
        if fault == "lost answer":
            self._session.send(request)
        if fault in ("lost answer", "reset"):
            raise ConnectionClosedError(endpoint_url=request.url)
        return _answer(request, throttled=fault == "throttled")


class _Body:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def stream(self) -> Iterator[bytes]:
        yield self._data


def _answer(request: Any, *, throttled: bool) -> AWSResponse:
    """Returns a refusal in the service's own form: JSON, or XML from S3."""
    if "x-amz-target" in {name.lower() for name in request.headers}:
        code = "ThrottlingException" if throttled else "InternalServerError"
        body, status = (
            json.dumps({"__type": code, "message": "bad weather"}).encode(),
            400 if throttled else 500,
        )
    else:
        code = "SlowDown" if throttled else "InternalError"
        body, status = f"<Error><Code>{code}</Code><Message>bad weather</Message></Error>".encode(), 503
    return AWSResponse(request.url, status, {}, _Body(body))
