"""Parses DynamoDB answers with many items quickly.

botocore walks every value of an answer to decode binary values, which JSON lacks. The studio stores none, and a page of
the gallery or the history has thousands of values.
"""

from __future__ import annotations

import json
from collections.abc import MutableMapping
from typing import Any

# The operations whose answers have many items, and the field that holds only items.
HOLDERS = {"Query": "Items", "BatchGetItem": "Responses"}
OK = 200


def read_items_quickly(client: Any) -> None:
    """Makes a DynamoDB client take items directly from the JSON: the same answers except for binary values.

    Those would stay base64 text, for which boto3's TypeDeserializer raises TypeError.
    """
    for operation, holder in HOLDERS.items():
        client.meta.events.register(f"before-parse.dynamodb.{operation}", _reader(holder))


def _reader(holder: str) -> Any:
    def read(
        response_dict: MutableMapping[str, Any],
        customized_response_dict: MutableMapping[str, Any],
        **_: Any,
    ) -> None:
        if response_dict["status_code"] != OK:
            return
        try:
            answer = json.loads(response_dict["body"])
            items = answer.pop(holder)
        except (AttributeError, KeyError, TypeError, ValueError):
            # botocore reports the problem.
            return
        customized_response_dict[holder] = items
        response_dict["body"] = json.dumps(answer).encode()

    return read
