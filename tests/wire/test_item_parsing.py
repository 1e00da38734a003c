"""Tests that the fast item parser returns the same as botocore, and leaves other answers to botocore."""

from __future__ import annotations

from typing import Any

import pytest
from boto3.dynamodb.types import TypeDeserializer
from botocore.exceptions import BotoCoreError, ClientError

from local.resources import TABLE, Resources, client_factory
from services.aws.item_parsing import read_items_quickly
from tests.cloud import EmbeddedCloud

ITEM = {
    "PK": {"S": "x"},
    "text": {"S": 'a \U0001f34e in a "box"\n'},
    "empty": {"S": ""},
    "number": {"N": "1.5"},
    "yes": {"BOOL": True},
    "nothing": {"NULL": True},
    "list": {"L": [{"S": "a"}, {"N": "1"}, {"M": {"deep": {"L": []}}}]},
    "map": {"M": {"Items": {"S": "its name is that of the answer's own"}, "b": {"SS": ["c"]}}},
    "words": {"SS": ["a", "b"]},
}


def both(cloud: EmbeddedCloud) -> tuple[Any, Any]:
    """Returns a client with the fast parser and an unchanged one; not `cloud.client`, which other tests share."""
    quick, slow = client_factory(cloud.url)("dynamodb"), client_factory(cloud.url)("dynamodb")
    read_items_quickly(quick)
    return quick, slow


def without_metadata(answer: dict[str, Any]) -> dict[str, Any]:
    """Returns an answer without its request metadata."""
    return {name: value for name, value in answer.items() if name != "ResponseMetadata"}


def test_a_page_is_parsed_like_botocore_does(cloud: EmbeddedCloud, resources: Resources) -> None:
    quick, slow = both(cloud)
    for n in range(5):
        slow.put_item(TableName=TABLE, Item=ITEM | {"SK": {"S": f"I#{n}"}})
    asked = {
        "TableName": TABLE,
        "KeyConditionExpression": "PK = :pk",
        "ExpressionAttributeValues": {":pk": {"S": "x"}},
        "Limit": 3,
        "ReturnConsumedCapacity": "TOTAL",
    }
    first = without_metadata(quick.query(**asked))
    assert first == without_metadata(slow.query(**asked))
    assert [item["SK"]["S"] for item in first["Items"]] == ["I#0", "I#1", "I#2"]
    assert first["Items"][0] == ITEM | {"SK": {"S": "I#0"}}
    rest = asked | {"ExclusiveStartKey": first["LastEvaluatedKey"]}
    assert without_metadata(quick.query(**rest)) == without_metadata(slow.query(**rest))
    nobody = asked | {"ExpressionAttributeValues": {":pk": {"S": "nobody"}}}
    assert without_metadata(quick.query(**nobody)) == without_metadata(slow.query(**nobody))
    counted = {name: value for name, value in asked.items() if name != "Limit"} | {"Select": "COUNT"}
    assert without_metadata(quick.query(**counted)) == without_metadata(slow.query(**counted))
    keys = {TABLE: {"Keys": [{"PK": {"S": "x"}, "SK": {"S": f"I#{n}"}} for n in (0, 4, 9)]}}
    many = without_metadata(quick.batch_get_item(RequestItems=keys))
    assert len(many["Responses"][TABLE]) == 2
    assert many == without_metadata(slow.batch_get_item(RequestItems=keys))


def test_an_error_is_raised_by_botocore(cloud: EmbeddedCloud, resources: Resources) -> None:
    quick, _ = both(cloud)
    with pytest.raises(ClientError) as refused:
        quick.query(TableName=TABLE, KeyConditionExpression="nonsense")
    assert refused.value.response["Error"]["Code"] == "ValidationException"


def test_a_binary_value_is_never_read_as_text(cloud: EmbeddedCloud, resources: Resources) -> None:
    quick, slow = both(cloud)
    slow.put_item(TableName=TABLE, Item={"PK": {"S": "x"}, "SK": {"S": "b"}, "raw": {"B": b"\x00\xff"}})
    answer = quick.query(
        TableName=TABLE, KeyConditionExpression="PK = :pk", ExpressionAttributeValues={":pk": {"S": "x"}}
    )
    with pytest.raises(TypeError):
        TypeDeserializer().deserialize(answer["Items"][0]["raw"])


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"\xff", b"<html>", b'{"Items"'])
def test_a_malformed_answer_is_left_to_botocore(
    cloud: EmbeddedCloud, resources: Resources, body: bytes
) -> None:
    def replaced(response_dict: dict[str, Any], **_: Any) -> None:
        response_dict["body"] = body

    answers = []
    for client in both(cloud):
        client.meta.events.register_first("before-parse.dynamodb.Query", replaced)
        try:
            answers.append(
                without_metadata(
                    client.query(
                        TableName=TABLE,
                        KeyConditionExpression="PK = :pk",
                        ExpressionAttributeValues={":pk": {"S": "x"}},
                    )
                )
            )
        except (AttributeError, ValueError, BotoCoreError, ClientError) as error:
            answers.append({"error": repr(error)})
    assert answers[0] == answers[1]
