"""The one DynamoDB table: get, query, conditional update and transactions over plain items.

Values are str, int, bool, lists of str and None-free dicts of them; floats do not enter the table (money is in
micro-dollars, other numbers in JSON text).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import ClientError

from services.aws.contention import CROWDED, Line, attempts
from services.aws.cursors import cursor, read_cursor
from services.aws.session import Client, error_code, translated
from services.errors import StudioError, Unavailable

Item = dict[str, Any]
# DynamoDB's reasons for a canceled transaction that may succeed if retried.
PASSING = {"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"}
BATCH_GET_KEYS = 100
# Page size for reading many records; a page of pictures stays below DynamoDB's 1 MB.
EACH_ITEMS = 1000
INDEX = "GSI1"
_serialize = TypeSerializer().serialize
_deserialize = TypeDeserializer().deserialize


class ConditionFailed(StudioError):
    """The item was not in the expected state. `current` is the item now, None if absent."""

    code = "condition_failed"

    def __init__(self, current: Item | None) -> None:
        super().__init__("the item is in another state")
        self.current = current


class TransactionRefused(StudioError):
    """The transaction did not happen; `failed` has the labels of the writes whose condition failed."""

    code = "transaction_refused"

    def __init__(self, failed: frozenset[str]) -> None:
        super().__init__(f"refused by: {', '.join(sorted(failed))}")
        self.failed = failed


@dataclass(frozen=True)
class Put:
    """Writes a whole item; `condition` is a DynamoDB expression over `#name` and `:value` tokens."""

    item: Item
    label: str
    condition: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Update:
    """Changes attributes of an item: `assign` sets, `initial` sets those that are not there, `add` adds integers,
    `remove` drops."""

    key: tuple[str, str]
    label: str = ""
    assign: Mapping[str, Any] = field(default_factory=dict)
    initial: Mapping[str, Any] = field(default_factory=dict)
    add: Mapping[str, int] = field(default_factory=dict)
    remove: Sequence[str] = ()
    condition: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Delete:
    """Removes an item; no error if it is gone."""

    key: tuple[str, str]
    label: str = ""
    condition: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)


class Table:
    """One table. Every method is one AWS call unless its docstring says otherwise."""

    def __init__(self, client: Client, name: str) -> None:
        self._client = client
        self._name = name
        self._line = Line()

    @translated("DynamoDB")
    def get(self, pk: str, sk: str) -> Item | None:
        """Returns the item, strongly consistent; None if there is none."""
        answer = self._client.get_item(
            TableName=self._name, Key=_key((pk, sk)), ConsistentRead=True, ReturnConsumedCapacity="NONE"
        )
        return _plain(answer["Item"]) if "Item" in answer else None

    def get_many(self, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Item]:
        """Returns the existing items among `keys`, by key; one call for each hundred."""
        todo = list(dict.fromkeys(keys))
        found: dict[tuple[str, str], Item] = {}
        for start in range(0, len(todo), BATCH_GET_KEYS):
            found |= self._get_batch(todo[start : start + BATCH_GET_KEYS])
        return found

    @translated("DynamoDB")
    def _get_batch(self, keys: list[tuple[str, str]]) -> dict[tuple[str, str], Item]:
        request: dict[str, Any] = {self._name: {"Keys": [_key(key) for key in keys], "ConsistentRead": True}}
        found: dict[tuple[str, str], Item] = {}
        for _ in attempts():
            answer = self._client.batch_get_item(RequestItems=request)
            for raw in answer["Responses"].get(self._name, []):
                item = _plain(raw)
                found[item["PK"], item["SK"]] = item
            request = answer.get("UnprocessedKeys") or {}
            if not request:
                return found
        raise Unavailable("DynamoDB is throttling. Try again in a few seconds.")

    @translated("DynamoDB")
    def snapshot(self, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Item]:
        """The items that exist among `keys` (100 at most) as they were at one moment, by key.

        Waits out writes that are changing them, as `transact` does. Raises Unavailable when those go on.
        """
        gets = [{"Get": {"TableName": self._name, "Key": _key(key)}} for key in keys]
        for _ in attempts():
            try:
                answer = self._client.transact_get_items(TransactItems=gets)
            except ClientError as exc:
                if not PASSING & set(_reasons(exc)):
                    raise
                continue
            items = [_plain(each["Item"]) for each in answer["Responses"] if each.get("Item")]
            return {(item["PK"], item["SK"]): item for item in items}
        raise Unavailable(CROWDED)

    @translated("DynamoDB")
    def query(
        self,
        pk: str,
        prefix: str,
        *,
        limit: int,
        after: str | None = None,
        newest_first: bool = True,
        where: str = "",
        values: Mapping[str, Any] | None = None,
        look_through: int = 0,
        consistent: bool = False,
    ) -> tuple[list[Item], str | None]:
        """Up to `limit` items of a partition whose SK starts with `prefix` (all, when empty), and the rest's cursor.

        A cursor is opaque and bound to its partition and prefix. With `where` (a filter) a call looks through
        `look_through` items, and further calls are made until the page is full.
        Raises InvalidRequest for a cursor that was not made here.
        """
        start = _key((pk, read_cursor(after, prefix))) if after else None
        items: list[Item] = []
        request: dict[str, Any] = {
            "TableName": self._name,
            "KeyConditionExpression": "PK = :pk" + (" AND begins_with(SK, :prefix)" if prefix else ""),
            "ScanIndexForward": not newest_first,
            "ConsistentRead": consistent,
            "Limit": max(look_through, limit + 1),
        }
        expression = _Expression(values or {})
        if where:
            request["FilterExpression"] = expression.use(where)
        expression.bind({":pk": pk, **({":prefix": prefix} if prefix else {})})
        request |= expression.arguments()
        while True:
            answer = self._client.query(**request, **({"ExclusiveStartKey": start} if start else {}))
            items += [_plain(raw) for raw in answer["Items"]]
            start = answer.get("LastEvaluatedKey")
            if len(items) > limit or not start:
                break
        more = len(items) > limit
        items = items[:limit]
        return items, cursor(items[-1]["SK"]) if more else None

    def each(self, pk: str, prefix: str, *, newest_first: bool = True) -> Iterator[Item]:
        """Yields every item of a partition whose SK starts with `prefix`, strongly consistent; one call for each
        1,000.
        """
        after: str | None = None
        while True:
            items, after = self.query(
                pk, prefix, limit=EACH_ITEMS, after=after, newest_first=newest_first, consistent=True
            )
            yield from items
            if after is None:
                return

    @translated("DynamoDB")
    def index(self, pk: str, *, up_to: str | None = None, limit: int | None = None) -> list[Item]:
        """Yields items of an index partition by GSI1SK, those up to `up_to` only; eventually consistent."""
        request: dict[str, Any] = {
            "TableName": self._name,
            "IndexName": INDEX,
            "KeyConditionExpression": "GSI1PK = :pk" + (" AND GSI1SK <= :to" if up_to else ""),
            "ExpressionAttributeValues": {":pk": _serialize(pk)}
            | ({":to": _serialize(up_to)} if up_to else {}),
        }
        if limit is not None:
            request["Limit"] = limit
        items: list[Item] = []
        while True:
            answer = self._client.query(**request)
            items += [_plain(raw) for raw in answer["Items"]]
            if "LastEvaluatedKey" not in answer or (limit is not None and len(items) >= limit):
                return items[:limit]
            request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    @translated("DynamoDB")
    def put(self, item: Item) -> None:
        """Writes a whole item unconditionally: only for items whose last writer may win."""
        self._patiently(lambda: self._client.put_item(TableName=self._name, Item=_typed(item)))

    @translated("DynamoDB")
    def delete(self, pk: str, sk: str) -> None:
        """Removes an item; no error if it is gone."""
        self._patiently(lambda: self._client.delete_item(TableName=self._name, Key=_key((pk, sk))))

    @translated("DynamoDB")
    def update(self, change: Update) -> Item:
        """Applies one conditional change and returns the item after it.

        Raises ConditionFailed with the current item. boto3 may have retried after a lost response: a caller that
        must know whether the state is its own doing writes a token with the change and compares.
        """
        try:
            answer = self._patiently(
                lambda: self._client.update_item(
                    TableName=self._name, **_update_arguments(change), ReturnValues="ALL_NEW"
                )
            )
        except ClientError as exc:
            if error_code(exc) != "ConditionalCheckFailedException":
                raise
            raise ConditionFailed(self.get(*change.key)) from exc
        return _plain(answer["Attributes"])

    def _patiently(self, write: Callable[[], Any]) -> Any:
        """Retries a single write that conflicts with a transaction on the same item, with jitter, for about ten
        seconds.
        """
        for _ in attempts():
            try:
                return write()
            except ClientError as exc:
                if error_code(exc) != "TransactionConflictException":
                    raise
        raise Unavailable(CROWDED)

    @translated("DynamoDB")
    def transact(self, writes: Sequence[Put | Update | Delete]) -> None:
        """All of the writes or none. Transactions of this process that share an item go one after the other; conflicts
        with those of other processes are waited out, with jitter, for about ten seconds.

        Raises TransactionRefused naming the failed conditions; after a lost response that can be one's own success,
        so a caller reads its marker before it believes the refusal. Raises Unavailable when conflicts go on.
        """
        request = [_transact_item(self._name, write) for write in writes]
        with self._line.turn(_key_of(write) for write in writes):
            for _ in attempts():
                try:
                    self._client.transact_write_items(TransactItems=request)
                    return
                except ClientError as exc:
                    reasons = _reasons(exc)
                    failed = frozenset(
                        write.label
                        for write, reason in zip(writes, reasons, strict=False)
                        if reason == "ConditionalCheckFailed"
                    )
                    if failed:
                        raise TransactionRefused(failed) from exc
                    if not PASSING & set(reasons):
                        raise
        raise Unavailable(CROWDED)


class _Expression:
    """Collects the `#name` and `:value` tokens of one request's expressions."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._names: dict[str, str] = {}
        self._values: dict[str, Any] = {name: _serialize(value) for name, value in values.items()}

    def use(self, text: str) -> str:
        """Registers every `#attribute` in `text` under its own name."""
        for word in text.replace("(", " ").replace(")", " ").replace(",", " ").split():
            if word.startswith("#"):
                self._names[word] = word[1:]
        return text

    def bind(self, values: Mapping[str, Any]) -> None:
        self._values |= {name: _serialize(value) for name, value in values.items()}

    def arguments(self) -> dict[str, Any]:
        result: dict[str, Any] = {}
        if self._names:
            result["ExpressionAttributeNames"] = self._names
        if self._values:
            result["ExpressionAttributeValues"] = self._values
        return result


def _update_arguments(change: Update) -> dict[str, Any]:
    expression = _Expression(change.values)
    clauses = []
    if change.assign or change.initial:
        parts = []
        for name, value in {**change.assign, **change.initial}.items():
            expression.bind({f":set_{name}": value})
            wanted = f"if_not_exists(#{name}, :set_{name})" if name in change.initial else f":set_{name}"
            parts.append(expression.use(f"#{name}") + f" = {wanted}")
        clauses.append("SET " + ", ".join(parts))
    if change.add:
        parts = []
        for name, amount in change.add.items():
            expression.bind({f":add_{name}": amount})
            parts.append(expression.use(f"#{name} :add_{name}"))
        clauses.append("ADD " + ", ".join(parts))
    if change.remove:
        clauses.append("REMOVE " + ", ".join(expression.use(f"#{name}") for name in change.remove))
    result: dict[str, Any] = {"Key": _key(change.key), "UpdateExpression": " ".join(clauses)}
    if change.condition:
        result["ConditionExpression"] = expression.use(change.condition)
    return result | expression.arguments()


def _transact_item(table: str, write: Put | Update | Delete) -> dict[str, Any]:
    if isinstance(write, Update):
        return {"Update": {"TableName": table} | _update_arguments(write)}
    expression = _Expression(write.values)
    body: dict[str, Any] = {"TableName": table}
    if write.condition:
        body["ConditionExpression"] = expression.use(write.condition)
    body |= expression.arguments()
    if isinstance(write, Put):
        return {"Put": body | {"Item": _typed(write.item)}}
    return {"Delete": body | {"Key": _key(write.key)}}


def _key_of(write: Put | Update | Delete) -> tuple[str, str]:
    return (write.item["PK"], write.item["SK"]) if isinstance(write, Put) else write.key


def _reasons(exc: ClientError) -> list[str]:
    """Returns why a transaction was canceled, one code per item; empty for any other error."""
    if error_code(exc) != "TransactionCanceledException":
        return []
    return [reason.get("Code", "None") for reason in exc.response.get("CancellationReasons", [])]


def _key(key: tuple[str, str]) -> dict[str, Any]:
    return {"PK": _serialize(key[0]), "SK": _serialize(key[1])}


def _typed(item: Item) -> dict[str, Any]:
    return {name: _serialize(value) for name, value in item.items() if value is not None}


def _plain(raw: Mapping[str, Any]) -> Item:
    return {name: _whole(_deserialize(value)) for name, value in raw.items()}


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, Decimal) else value
