"""Records every AWS call of a process's clients, and which calls changed something."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from services.aws.session import Clients

READS = ("Get", "BatchGet", "TransactGet", "Query", "Scan", "List", "Head", "Describe", "Receive")
REFUSED = 400


class Traffic:
    """Records the calls of all threads inside its block, such as `dynamodb.PutItem`.

    `writes` holds the successful writes, without those that a condition refused.
    """

    def __init__(self, clients: Clients) -> None:
        self._clients = {
            "dynamodb": clients.dynamodb,
            "s3": clients.s3,
            "sqs": clients.sqs,
        }
        self.calls: list[str] = []
        self.writes: list[str] = []

    def __enter__(self) -> Self:
        for service, client in self._clients.items():
            client.meta.events.register(f"after-call.{service}", self._note, unique_id=f"traffic-{id(self)}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        for service, client in self._clients.items():
            client.meta.events.unregister(f"after-call.{service}", unique_id=f"traffic-{id(self)}")

    def _note(self, model: Any, http_response: Any, **_: Any) -> None:
        call = f"{model.service_model.service_name}.{model.name}"
        self.calls.append(call)
        if not model.name.startswith(READS) and http_response.status_code < REFUSED:
            self.writes.append(call)
