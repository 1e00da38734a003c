"""Tests of the fast query path: the same answers as MiniStack's query, which handles all other conditions."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from local.cloud.queries import INDEX, INDEX_UP_TO, MEMBERS, PREFIX, quick
from local.resources import TABLE, Resources
from services.aws.table import Table
from tests.cloud import EmbeddedCloud

# Equivalent for DynamoDB, but not recognized by the fast path.
LONG_WAY = PREFIX.replace("(", " (")
SORT_KEYS = ["A#1", "A#10", "A#2", "A#\uff5e", "A#\U0001f34e", "A", "B#1", "A#3", "A#4"]


def text(value: str) -> dict[str, str]:
    return {"S": value}


@pytest.fixture
def table(cloud: EmbeddedCloud, resources: Resources) -> Iterator[Any]:
    client = cloud.client("dynamodb")
    for pk in ("x", "y"):
        for n, sk in enumerate(SORT_KEYS):
            client.put_item(TableName=TABLE, Item={"PK": text(pk), "SK": text(sk), "n": {"N": str(n)}})
    yield client


def pages(client: Any, condition: str, prefix: str, **more: Any) -> list[dict[str, Any]]:
    """All pages of the answer, without `ResponseMetadata`."""
    request = {
        "TableName": TABLE,
        "KeyConditionExpression": condition,
        "ExpressionAttributeValues": {":pk": text("x"), ":prefix": text(prefix)} | more.pop("values", {}),
        "ReturnConsumedCapacity": "TOTAL",
        **more,
    }
    answers = []
    while True:
        answer = client.query(**request)
        answers.append({name: value for name, value in answer.items() if name != "ResponseMetadata"})
        if "LastEvaluatedKey" not in answer:
            return answers
        request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]


WAYS: list[dict[str, Any]] = [
    {},
    {"Limit": 1},
    {"Limit": 2},
    {"Limit": 7},
    {"Limit": 3, "FilterExpression": "n > :n", "values": {":n": {"N": "2"}}},
    {"Limit": 2, "ProjectionExpression": "SK"},
    {"Select": "COUNT"},
]
AFTER = {"ExclusiveStartKey": {"PK": text("x"), "SK": text("A#20")}}


@pytest.mark.parametrize("forward", [True, False])
@pytest.mark.parametrize(
    ("prefix", "more"), [("A#", AFTER), *((prefix, way) for prefix in ("A#", "B", "C") for way in WAYS)]
)
def test_the_fast_path_returns_the_same_answers_as_the_slow_path(
    table: Any, prefix: str, more: dict[str, Any], forward: bool
) -> None:
    more = more | {"ScanIndexForward": forward}
    short, long = (pages(table, condition, prefix, **dict(more)) for condition in (PREFIX, LONG_WAY))
    assert short == long
    assert len(short) > 0


@pytest.mark.parametrize(
    "wrong",
    [
        {":pk": text("x"), ":prefix": {"N": "1"}},
        {":pk": text("x")},
        {":pk": text("x"), ":prefix": text("")},
        {":pk": {"N": "1"}, ":prefix": text("A")},
    ],
)
def test_the_fast_path_refuses_a_request_with_the_same_error_as_the_slow_path(
    table: Any, wrong: dict[str, Any]
) -> None:
    said = []
    for condition in (PREFIX, LONG_WAY):
        with pytest.raises(table.exceptions.ClientError) as refused:
            table.query(TableName=TABLE, KeyConditionExpression=condition, ExpressionAttributeValues=wrong)
        said.append(refused.value.response["Error"])
    assert said[0] == said[1]


# Sort keys of the index; equal ones are ordered by the items' primary keys.
INDEXED = [
    ("x", "1", "a"),
    ("x", "2", "b"),
    ("y", "1", "b"),
    ("y", "2", "a"),
    ("x", "3", "c"),
    ("y", "3", "~"),
]


@pytest.fixture
def indexed(table: Any) -> Any:
    for pk, sk, place in INDEXED:
        item = {"PK": text(pk), "SK": text(sk), "GSI1PK": text("open"), "GSI1SK": text(place)}
        table.put_item(TableName=TABLE, Item=item)
    table.put_item(
        TableName=TABLE,
        Item={"PK": text("x"), "SK": text("9"), "GSI1PK": text("other")} | {"GSI1SK": text("a")},
    )
    # An item that left the index is not returned.
    gone = {"PK": text("x"), "SK": text("8"), "GSI1PK": text("open"), "GSI1SK": text("a")}
    table.put_item(TableName=TABLE, Item=gone)
    table.update_item(
        TableName=TABLE, Key={"PK": text("x"), "SK": text("8")}, UpdateExpression="REMOVE GSI1PK"
    )
    return table


@pytest.mark.parametrize("up_to", [None, "b", "bb", "", "~"])
def test_the_fast_path_answers_an_index_query_like_the_slow_path(indexed: Any, up_to: str | None) -> None:
    condition = INDEX if up_to is None else INDEX_UP_TO
    compared = 0
    for way in (way for way in WAYS if "ProjectionExpression" not in way):
        for forward in (True, False):
            values = {":pk": text("open")} | ({} if up_to is None else {":to": text(up_to)})
            request = {
                "TableName": TABLE,
                "IndexName": "GSI1",
                "ExpressionAttributeValues": values | way.get("values", {}),
                "ScanIndexForward": forward,
                **{name: value for name, value in way.items() if name != "values"},
            }
            # Equivalent for DynamoDB, but spelled so that it takes the slow path.
            long_way = condition.replace(" = ", " =  ")
            quick_answers, long_answers = (
                index_pages(indexed, request | {"KeyConditionExpression": asked})
                for asked in (condition, long_way)
            )
            assert quick_answers == long_answers, (way, forward)
            compared += 1
    assert compared == 12


def index_pages(client: Any, request: dict[str, Any]) -> list[dict[str, Any]]:
    """All pages of the answer, up to an error if one occurs."""
    answers: list[dict[str, Any]] = []
    start: dict[str, Any] = {}
    while True:
        try:
            answer = client.query(**request, **start)
        except client.exceptions.ClientError as exc:
            return [*answers, exc.response["Error"]]
        answers.append({name: value for name, value in answer.items() if name != "ResponseMetadata"})
        if "LastEvaluatedKey" not in answer:
            return answers
        start = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}


MEMBERSHIP = {"GSI1": {"open": {("a", f"I#{n}"): None for n in range(9)}}}


def asked_with(data: dict[str, Any], items: dict[str, Any]) -> dict[str, Any]:
    """Return the part of `items` that MiniStack's query sees for a request."""
    table = {"items": items}
    shown: list[dict[str, Any]] = []
    lock = threading.Lock()

    def query(_: dict[str, Any]) -> None:
        assert lock.locked() == (
            "KeyConditionExpression" in data and data["KeyConditionExpression"] == PREFIX
        )
        shown.append(table["items"])

    quick(query, {"t": table}, lock, lambda _: MEMBERSHIP)({"TableName": "t"} | data)
    assert table["items"] is items
    return shown[0]


ITEMS = {"a": {f"I#{n}": {"n": n} for n in range(9)} | {"J#1": {"n": 9}}, "b": {"I#1": {"n": 10}}}
VALUES = {":pk": text("a"), ":prefix": text("I#")}


def test_the_query_sees_only_the_items_of_one_page() -> None:
    request = {"KeyConditionExpression": PREFIX, "ExpressionAttributeValues": VALUES, "Limit": 2}
    assert asked_with(request, ITEMS) == {"a": {"I#0": {"n": 0}, "I#1": {"n": 1}, "I#2": {"n": 2}}}
    backwards = request | {
        "ScanIndexForward": False,
        "ExclusiveStartKey": {"PK": text("a"), "SK": text("I#7")},
    }
    assert list(asked_with(backwards, ITEMS)["a"]) == ["I#6", "I#5", "I#4"]


def test_the_query_sees_only_the_index_entries_of_one_page() -> None:
    items = {"a": {f"I#{n}": {"GSI1SK": text(str(9 - n))} for n in range(9)}}
    table = {"items": items, MEMBERS: MEMBERSHIP}
    shown: list[Any] = []

    def query(_: dict[str, Any]) -> None:
        shown.append((dict(table["items"]["a"]), table[MEMBERS]["GSI1"]["open"]))

    data = {
        "IndexName": "GSI1",
        "ExpressionAttributeValues": {":pk": text("open"), ":to": text("4")},
        "Limit": 1,
    }
    lock = threading.Lock()
    quick(query, {"t": table}, lock, lambda _: MEMBERSHIP)(
        {"TableName": "t", "KeyConditionExpression": INDEX_UP_TO} | data
    )
    assert [(list(found), list(members)) for found, members in shown] == [
        (["I#8", "I#7"], [("a", "I#8"), ("a", "I#7")])
    ]
    assert table == {"items": items, MEMBERS: MEMBERSHIP}


@pytest.mark.parametrize(
    "data",
    [
        {"KeyConditionExpression": "PK = :pk", "ExpressionAttributeValues": VALUES},
        {"KeyConditionExpression": PREFIX, "ExpressionAttributeValues": {":pk": text("a")}},
        {"KeyConditionExpression": PREFIX, "ExpressionAttributeValues": VALUES, "Limit": "many"},
        {},
    ],
)
def test_the_query_sees_all_items_for_any_other_request(data: dict[str, Any]) -> None:
    assert asked_with(data, ITEMS) is ITEMS


def test_the_table_is_complete_again_after_an_error() -> None:
    table = {"items": ITEMS}

    def fails(_: dict[str, Any]) -> None:
        raise RuntimeError("in the middle")

    asked: Callable[[dict[str, Any]], Any] = quick(
        fails, {"t": table}, threading.Lock(), lambda _: MEMBERSHIP
    )
    with pytest.raises(RuntimeError):
        asked({"TableName": "t", "KeyConditionExpression": PREFIX, "ExpressionAttributeValues": VALUES})
    assert table["items"] is ITEMS


def test_the_studio_sends_exactly_the_conditions_of_the_fast_path(
    cloud: EmbeddedCloud, resources: Resources
) -> None:
    client = cloud.client("dynamodb")
    asked: list[str] = []

    def watch(params: dict[str, Any], **_: Any) -> None:
        asked.append(params["KeyConditionExpression"])

    client.meta.events.register("provide-client-params.dynamodb.Query", watch)
    try:
        table = Table(client, TABLE)
        for sk in ("A#1", "A#2", "B#1"):
            table.put({"PK": "x", "SK": sk})
        assert [item["SK"] for item in table.query("x", "A#", limit=5)[0]] == ["A#2", "A#1"]
        assert table.index("open") == table.index("open", up_to="b", limit=3) == []
    finally:
        client.meta.events.unregister("provide-client-params.dynamodb.Query", watch)
    assert asked == [PREFIX, INDEX, INDEX_UP_TO]
