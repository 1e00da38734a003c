"""Writes very many records into the embedded cloud, unchanged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any

from boto3.dynamodb.types import TypeSerializer

WRITES_AT_ONCE = 25


def write_items(dynamodb: Any, table: str, items: Iterable[Mapping[str, Any]]) -> None:
    """Puts the items, 25 per request, from four threads."""
    serialize = TypeSerializer().serialize
    puts = (
        {
            "PutRequest": {
                "Item": {name: serialize(value) for name, value in item.items() if value is not None}
            }
        }
        for item in items
    )

    def send(batch: list[dict[str, Any]]) -> None:
        left = {table: batch}
        while left:
            left = dynamodb.batch_write_item(RequestItems=left).get("UnprocessedItems") or {}

    with ThreadPoolExecutor(max_workers=4) as pool:
        while batch := list(islice(puts, WRITES_AT_ONCE * 200)):
            parts = [batch[n : n + WRITES_AT_ONCE] for n in range(0, len(batch), WRITES_AT_ONCE)]
            list(pool.map(send, parts))
