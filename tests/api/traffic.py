"""What is asked of AWS: every call of a process's clients, by its name, and which of them changed something."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from services.aws.session import Clients

READS = ("Get", "BatchGet", "TransactGet", "Query", "Scan", "List", "Head", "Describe", "Receive")
REFUSED = 400


class Traffic:
    """Inside its block it notes `dynamodb.PutItem` and the like, of all threads.

    `writes` has those that changed something: a write that its condition refused is not among them.
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
