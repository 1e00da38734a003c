"""Counts DynamoDB requests and the items that they read."""

from __future__ import annotations

from typing import Any


class Reads:
    """Counts a client's requests and the items that they read, while entered.

    Counts every item that DynamoDB reads, even if a filter drops it, because that is what is billed.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self.requests = 0
        self.items = 0

    def __enter__(self) -> Reads:
        self._client.meta.events.register("after-call.dynamodb", self._count)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.meta.events.unregister("after-call.dynamodb", self._count)

    def _count(self, parsed: dict[str, Any], **_: Any) -> None:
        self.requests += 1
        self.items += parsed.get("ScannedCount", 0) + ("Item" in parsed)
        self.items += sum(len(found) for found in parsed.get("Responses", {}).values())
