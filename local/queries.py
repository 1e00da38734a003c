"""A quick answer to the question the studio asks most: the first items of a partition whose sort keys begin so.

MiniStack sorts the whole partition and reads the key condition anew for each of its items: with 10,000 pictures a page
took a second. Here it is given only the items that it would answer with. Conditions of any other form, and queries of
an index, go MiniStack's own way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from itertools import islice
from typing import Any

PREFIX = "PK = :pk AND begins_with(SK, :prefix)"

Answer = Callable[[dict[str, Any]], Any]
Items = dict[str, dict[str, Any]]


def quick(query: Answer, tables: Mapping[str, dict[str, Any]], lock: AbstractContextManager[Any]) -> Answer:
    """`query` (MiniStack's `_query`, synchronous), shown a small partition of its `tables` where `PREFIX` is asked.

    What it checks, counts, projects and answers stays its own; a table is as it was again when it returns. `lock` is
    the one that the thread holds which takes expired items away: it must not meet the small partition.
    """

    def answered(data: dict[str, Any]) -> Any:
        table = tables.get(data.get("TableName", ""))
        if table is None or data.get("KeyConditionExpression") != PREFIX or data.get("IndexName"):
            return query(data)
        with lock:
            every = table["items"]
            try:
                pk = data["ExpressionAttributeValues"][":pk"]["S"]
                table["items"] = {pk: _first(every.get(pk, {}), data)}
            except (AttributeError, KeyError, TypeError, ValueError):
                return query(data)
            try:
                return query(data)
            finally:
                table["items"] = every

    return answered


def _first(partition: Items, data: Mapping[str, Any]) -> Items:
    """The items after the start key, in order: as many as the limit, and one by which it is seen that more follow.

    Strings in Python are ordered as their UTF-8 bytes are, which is DynamoDB's order.
    """
    prefix = data["ExpressionAttributeValues"][":prefix"]["S"]
    forward = data.get("ScanIndexForward", True)
    sort_keys = sorted((key for key in partition if key.startswith(prefix)), reverse=not forward)
    if (start := data.get("ExclusiveStartKey")) is not None:
        last = start["SK"]["S"]
        sort_keys = [key for key in sort_keys if (key > last if forward else key < last)]
    wanted = int(data["Limit"]) + 1 if data.get("Limit") is not None else None
    return {key: partition[key] for key in islice(sort_keys, wanted)}
