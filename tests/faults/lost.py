"""Simulates a real network fault: the request is carried out, but its answer never arrives."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ConnectionClosedError
from botocore.httpsession import URLLib3Session


@dataclass
class LostAnswers:
    """Loses answers to one operation of a client after it was carried out; `fired` counts them.

    `times` is the number of consecutive losses: boto3's retries recover from 1, but not from 4.
    """

    client: Any
    operation: str
    times: int
    skip: int = 0
    fired: int = field(default=0, init=False)

    def __enter__(self) -> LostAnswers:
        service = self.client.meta.service_model.service_id.hyphenize()
        self._event = f"before-send.{service}.{self.operation}"
        self._session = URLLib3Session()
        self.client.meta.events.register_first(self._event, self._lose)
        return self

    def __exit__(self, *_: object) -> None:
        self.client.meta.events.unregister(self._event, self._lose)

    def _lose(self, request: Any, **_: Any) -> None:
        if self.skip > 0:
            self.skip -= 1
            return
        if self.fired >= self.times:
            return
        answer = self._session.send(request)
        assert answer.status_code < 500, "the request must have been carried out"
        self.fired += 1
        raise ConnectionClosedError(endpoint_url=request.url)
