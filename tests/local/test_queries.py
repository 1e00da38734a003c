"""The quick way for one key condition: the same answers, and every other condition goes the long way."""

from __future__ import annotations

from typing import Any

import pytest

from local.queries import PREFIX, quick
from local.resources import TABLE, Resources
from services.aws.table import Table
from tests.cloud import EmbeddedCloud


def text(value: str) -> dict[str, str]:
    return {"S": value}


@pytest.mark.parametrize(
    ("pk", "sk", "expected"),
    [("a", "IMAGE#1", True), ("a", "IMAGE#", True), ("a", "IMAG", False), ("b", "IMAGE#1", False)],
)
def test_the_short_way_says_what_the_condition_means(pk: str, sk: str, expected: bool) -> None:
    def never(*_: Any, **__: Any) -> bool:
        raise AssertionError("the long way was taken")

    item = {"PK": text(pk), "SK": text(sk)}
    values = {":pk": text("a"), ":prefix": text("IMAGE#")}
    assert quick(never)(PREFIX, item, values, {}, slot="KeyConditionExpression") is expected


@pytest.mark.parametrize(
    ("condition", "item", "values"),
    [
        ("PK = :pk", {"PK": text("a"), "SK": text("b")}, {":pk": text("a")}),
        (PREFIX, {"PK": {"N": "1"}, "SK": text("b")}, {":pk": text("a"), ":prefix": text("b")}),
        (PREFIX, {"PK": text("a")}, {":pk": text("a"), ":prefix": text("b")}),
        (PREFIX, {"PK": text("a"), "SK": text("b")}, {":pk": text("a")}),
    ],
)
def test_anything_else_goes_the_long_way(condition: str, item: Any, values: Any) -> None:
    asked: list[object] = []

    def long_way(*arguments: Any, **_: Any) -> bool:
        asked.append(arguments)
        return True

    assert quick(long_way)(condition, item, values, {}, slot="x")
    assert asked == [(condition, item, values, {})]


def test_the_studio_asks_exactly_so(cloud: EmbeddedCloud, resources: Resources) -> None:
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
    finally:
        client.meta.events.unregister("provide-client-params.dynamodb.Query", watch)
    assert asked == [PREFIX]
