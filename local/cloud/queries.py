"""Quick answers to the questions the studio asks most: the first items of a partition, of the table or of an index.

MiniStack sorts the whole partition and reads the key condition for each of its items: with 10,000 pictures a page took
a second, and with 100,000 waiting jobs a look at an index timed out. Here it is given only the items that it would
answer with. Conditions of any other form go MiniStack's own way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from heapq import nsmallest
from itertools import islice
from typing import Any

PREFIX = "PK = :pk AND begins_with(SK, :prefix)"
INDEX = "GSI1PK = :pk"
INDEX_UP_TO = "GSI1PK = :pk AND GSI1SK <= :to"
# Where MiniStack keeps which items are in which partition of an index.
MEMBERS = "_index_members"

Answer = Callable[[dict[str, Any]], Any]
Items = dict[str, dict[str, Any]]
Members = dict[str, dict[Any, dict[tuple[str, str], None]]]


def quick(
    query: Answer,
    tables: Mapping[str, dict[str, Any]],
    lock: AbstractContextManager[Any],
    members_of: Callable[[dict[str, Any]], Members],
) -> Answer:
    """`query` (MiniStack's `_query`, synchronous), shown a small part of its `tables` where the conditions above stand.

    What it checks, counts, projects and answers stays its own; a table is as it was when it returns. `members_of` is
    MiniStack's `_index_members`. `lock` is the one that the thread holds which takes expired items away: it must not
    meet the small part.
    """

    def answered(data: dict[str, Any]) -> Any:
        table = tables.get(data.get("TableName", ""))
        condition, index = data.get("KeyConditionExpression"), data.get("IndexName")
        if table is None or condition not in ((INDEX, INDEX_UP_TO) if index else (PREFIX,)):
            return query(data)
        with lock:
            try:
                part = _of_index(table, members_of(table), data) if index else _of_partition(table, data)
            except (AttributeError, KeyError, TypeError, ValueError):
                return query(data)
            before = {name: table[name] for name in part}
            table.update(part)
            try:
                return query(data)
            finally:
                table.update(before)

    return answered


def _of_partition(table: Mapping[str, Any], data: Mapping[str, Any]) -> dict[str, Any]:
    """The items after the start key, in order: as many as the limit, and one by which it is seen that more follow.

    Strings in Python are ordered as their UTF-8 bytes are, which is DynamoDB's order.
    """
    pk = data["ExpressionAttributeValues"][":pk"]["S"]
    partition = table["items"].get(pk, {})
    prefix = data["ExpressionAttributeValues"][":prefix"]["S"]
    forward = data.get("ScanIndexForward", True)
    sort_keys = sorted((key for key in partition if key.startswith(prefix)), reverse=not forward)
    if (start := data.get("ExclusiveStartKey")) is not None:
        last = start["SK"]["S"]
        sort_keys = [key for key in sort_keys if (key > last if forward else key < last)]
    return {"items": {pk: {key: partition[key] for key in islice(sort_keys, _wanted(data))}}}


def _of_index(table: Mapping[str, Any], members: Members, data: Mapping[str, Any]) -> dict[str, Any]:
    """The same of a partition of an index, from its beginning: ordered by the index's sort key, then by the item's."""
    if not data.get("ScanIndexForward", True):
        raise ValueError("only the beginning of an index is asked for")
    values, index, items = data["ExpressionAttributeValues"], data["IndexName"], table["items"]
    pk = values[":pk"]["S"]
    up_to = values[":to"]["S"] if ":to" in values else None
    places = (
        (items[base][key]["GSI1SK"]["S"], base, key)
        for base, key in members.get(index, {}).get(pk, {})
        if key in items.get(base, {})
    )
    if (start := data.get("ExclusiveStartKey")) is not None:
        last = (start["GSI1SK"]["S"], start["PK"]["S"], start["SK"]["S"])
        places = (place for place in places if place > last)
    if up_to is not None:
        places = (place for place in places if place[0] <= up_to)
    wanted = _wanted(data)
    found = sorted(places) if wanted is None else nsmallest(wanted, places)
    small: Items = {}
    for _, base, key in found:
        small.setdefault(base, {})[key] = items[base][key]
    return {"items": small, MEMBERS: {index: {pk: {(base, key): None for _, base, key in found}}}}


def _wanted(data: Mapping[str, Any]) -> int | None:
    return int(data["Limit"]) + 1 if data.get("Limit") is not None else None
