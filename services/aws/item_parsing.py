"""Reads DynamoDB's answers with many items quickly.

botocore walks through every value of an answer by its model, to decode what JSON cannot say: binary values. The studio
stores none, and a page of the gallery or the history has thousands of values.
"""

from __future__ import annotations

import json
from collections.abc import MutableMapping
from typing import Any

# The operations that answer with many items, and what holds nothing else in their answers.
HOLDERS = {"Query": "Items", "BatchGetItem": "Responses"}
OK = 200


def read_items_quickly(client: Any) -> None:
    """Has a DynamoDB client take items as its JSON says them: the same answers, but for binary values.

    Those would stay base64 text, at which boto3's TypeDeserializer raises TypeError.
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
            # botocore says what is wrong with it.
            return
        customized_response_dict[holder] = items
        response_dict["body"] = json.dumps(answer).encode()

    return read
