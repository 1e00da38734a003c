"""Simulates DynamoDB's transaction conflicts, which the embedded cloud lacks.

According to the developer guide ("Transaction conflict handling"), DynamoDB refuses a transaction on an item of another
write transaction in progress (TransactionCanceledException with TransactionConflict as that item's reason), a single
write to such an item (TransactionConflictException), and a transactional read of an item that is being written. It
never refuses plain reads.
"""

from __future__ import annotations

import io
import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from botocore.awsrequest import AWSResponse
from botocore.httpsession import URLLib3Session

Key = tuple[str, str, str]
SINGLE_WRITES = ("PutItem", "UpdateItem", "DeleteItem")
CONFLICT = {"Code": "TransactionConflict", "Message": "Transaction is ongoing for the item"}
NAMESPACE = "com.amazonaws.dynamodb.v20120810"


class Conflicts:
    """Refuses a client's conflicting requests like DynamoDB while the context is entered.

    After a transaction is carried out, its items stay locked for another `hold_s`, or until `hold` returns.
    `refused` counts refused requests by operation, `sent` completed ones; both may be read at any time.
    """

    def __init__(
        self, client: Any, *, hold_s: float = 0.01, hold: Callable[[], object] | None = None
    ) -> None:
        self.refused: Counter[str] = Counter()
        self.sent: Counter[str] = Counter()
        self._client = client
        self._hold = hold or (lambda: time.sleep(hold_s))
        self._lock = threading.Lock()
        self._in_transactions: Counter[Key] = Counter()
        self._in_single_writes: Counter[Key] = Counter()
        self._reads: list[_Read] = []
        self._session = URLLib3Session(max_pool_connections=64)

    def __enter__(self) -> Conflicts:
        self._client.meta.events.register_first("before-send.dynamodb", self._carry_out)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.meta.events.unregister("before-send.dynamodb", self._carry_out)

    def _carry_out(self, event_name: str, request: Any, **_: Any) -> AWSResponse | None:
        """Returns the answer in place of the network; botocore treats it like any other answer."""
        operation = event_name.rpartition(".")[2]
        body = json.loads(request.body)
        if operation == "TransactWriteItems":
            return self._transaction(request, [_key(item) for item in body["TransactItems"]])
        if operation == "TransactGetItems":
            return self._read(request, [_key(item) for item in body["TransactItems"]])
        if operation in SINGLE_WRITES:
            return self._single_write(request, operation, _key({operation: body}))
        assert operation != "BatchWriteItem", "not simulated here"
        return None

    def _transaction(self, request: Any, keys: list[Key]) -> AWSResponse:
        assert len(set(keys)) == len(keys), "DynamoDB refuses two actions on one item"
        with self._lock:
            met = [self._in_transactions[key] > 0 for key in keys]
            if any(met):
                return self._refuse(request, "TransactWriteItems", met)
            self._in_transactions.update(keys)
            self._spoil_reads(keys)
        try:
            return self._send(request, "TransactWriteItems", self._hold)
        finally:
            with self._lock:
                self._in_transactions.subtract(keys)

    def _single_write(self, request: Any, operation: str, key: Key) -> AWSResponse:
        with self._lock:
            if self._in_transactions[key] > 0:
                return self._refuse(request, operation, [])
            self._in_single_writes[key] += 1
            self._spoil_reads([key])
        try:
            return self._send(request, operation, lambda: None)
        finally:
            with self._lock:
                self._in_single_writes[key] -= 1

    def _read(self, request: Any, keys: list[Key]) -> AWSResponse:
        read = _Read(set(keys))
        with self._lock:
            busy = [self._in_transactions[key] + self._in_single_writes[key] > 0 for key in keys]
            if any(busy):
                return self._refuse(request, "TransactGetItems", busy)
            self._reads.append(read)
        answer = self._send(request, "TransactGetItems", self._hold)
        with self._lock:
            self._reads.remove(read)
            if read.spoiled:
                return self._refuse(request, "TransactGetItems", [key in read.spoiled for key in keys])
        return answer

    def _spoil_reads(self, keys: list[Key]) -> None:
        for read in self._reads:
            read.spoiled |= read.keys & set(keys)

    def _send(self, request: Any, operation: str, hold: Callable[[], object]) -> AWSResponse:
        answer: AWSResponse = self._session.send(request)
        hold()
        with self._lock:
            self.sent[operation] += 1
        return answer

    def _refuse(self, request: Any, operation: str, met: list[bool]) -> AWSResponse:
        self.refused[operation] += 1
        if not met:
            words = "Transaction is ongoing for the item"
            return _error(request, {"__type": f"{NAMESPACE}#TransactionConflictException", "message": words})
        reasons = [CONFLICT if each else {"Code": "None"} for each in met]
        codes = ", ".join(reason["Code"] for reason in reasons)
        return _error(
            request,
            {
                "__type": f"{NAMESPACE}#TransactionCanceledException",
                "Message": "Transaction cancelled, please refer cancellation reasons for specific reasons "
                f"[{codes}]",
                "CancellationReasons": reasons,
            },
        )


class _Read:
    """A transactional read in progress, and its items that were written meanwhile."""

    def __init__(self, keys: set[Key]) -> None:
        self.keys = keys
        self.spoiled: set[Key] = set()


def _key(item: dict[str, Any]) -> Key:
    """Returns the table, PK and SK of a transaction's action, or of a single write in the same form."""
    [action] = item.values()
    place = action.get("Key") or action["Item"]
    return action["TableName"], place["PK"]["S"], place["SK"]["S"]


class _Raw(io.BytesIO):
    def stream(self, **_: Any) -> Any:
        yield self.read()


def _error(request: Any, body: dict[str, Any]) -> AWSResponse:
    data = json.dumps(body).encode()
    headers = {"content-type": "application/x-amz-json-1.0", "content-length": str(len(data))}
    return AWSResponse(request.url, 400, headers, _Raw(data))
