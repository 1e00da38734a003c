"""Tests that `Conflicts` refuses what DynamoDB refuses, and that `Table` retries until the conflict is over."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from services.aws.contention import Line
from services.aws.session import Clients
from services.aws.table import Table, Update
from services.build import Studio
from tests.faults.conflicts import Conflicts

KEY = ("USER#x", "COUNT")
OTHER = ("USER#x", "OTHER")


@pytest.fixture
def dynamodb(clients: Clients) -> Any:
    return clients.dynamodb


@pytest.fixture
def name(studio: Studio) -> str:
    return studio.settings.table


def add(key: tuple[str, str], number: int = 1) -> Update:
    return Update(key=key, add={"number": number})


def raw(key: tuple[str, str]) -> dict[str, Any]:
    return {"PK": {"S": key[0]}, "SK": {"S": key[1]}}


@pytest.fixture
def during_a_transaction(dynamodb: Any, name: str) -> Iterator[Conflicts]:
    """Holds a transaction on KEY open during the test; its writes are already done."""
    carried_out, over = threading.Event(), threading.Event()

    def hold() -> None:
        carried_out.set()
        over.wait(60)

    first = [hold]
    with (
        Conflicts(dynamodb, hold=lambda: first.pop()() if first else None) as conflicts,
        ThreadPoolExecutor(1) as pool,
    ):
        pool.submit(Table(dynamodb, name).transact, [add(KEY)])
        assert carried_out.wait(60)
        yield conflicts
        over.set()


def refused(call: Callable[[], object]) -> ClientError:
    with pytest.raises(ClientError) as caught:
        call()
    return caught.value


def test_a_conflicting_transaction_is_canceled_and_names_the_item(
    during_a_transaction: Conflicts, dynamodb: Any, name: str
) -> None:
    writes = [
        {"Update": {"TableName": name, "Key": raw(key), "UpdateExpression": "REMOVE x"}}
        for key in (OTHER, KEY)
    ]
    error = refused(lambda: dynamodb.transact_write_items(TransactItems=writes))
    assert error.response["Error"]["Code"] == "TransactionCanceledException"
    codes = [reason["Code"] for reason in error.response["CancellationReasons"]]
    assert codes == ["None", "TransactionConflict"]
    dynamodb.transact_write_items(TransactItems=writes[:1])
    assert during_a_transaction.refused == {"TransactWriteItems": 1}


def test_a_single_write_to_an_item_of_a_transaction_is_refused(
    during_a_transaction: Conflicts, dynamodb: Any, name: str
) -> None:
    calls = (
        lambda: dynamodb.update_item(TableName=name, Key=raw(KEY), UpdateExpression="REMOVE x"),
        lambda: dynamodb.put_item(TableName=name, Item=raw(KEY)),
        lambda: dynamodb.delete_item(TableName=name, Key=raw(KEY)),
    )
    for call in calls:
        assert refused(call).response["Error"]["Code"] == "TransactionConflictException"
    dynamodb.put_item(TableName=name, Item=raw(OTHER))
    assert during_a_transaction.refused == {"UpdateItem": 1, "PutItem": 1, "DeleteItem": 1}


def test_a_transactional_read_is_refused_and_a_plain_one_is_not(
    during_a_transaction: Conflicts, dynamodb: Any, name: str
) -> None:
    gets = [{"Get": {"TableName": name, "Key": raw(key)}} for key in (KEY, OTHER)]
    error = refused(lambda: dynamodb.transact_get_items(TransactItems=gets))
    assert [reason["Code"] for reason in error.response["CancellationReasons"]] == [
        "TransactionConflict",
        "None",
    ]
    assert dynamodb.get_item(TableName=name, Key=raw(KEY), ConsistentRead=True)["Item"]
    assert dynamodb.transact_get_items(TransactItems=gets[1:])["Responses"] == [{}]
    assert during_a_transaction.refused == {"TransactGetItems": 1}


def test_a_transactional_read_during_a_write_is_refused_and_retried(dynamodb: Any, name: str) -> None:
    table = Table(dynamodb, name)
    table.update(add(KEY))
    read, written = threading.Event(), threading.Event()

    def hold() -> None:
        read.set()
        written.wait(60)

    with Conflicts(dynamodb, hold=hold) as conflicts, ThreadPoolExecutor(1) as pool:
        found = pool.submit(table.snapshot, [KEY, OTHER])
        assert read.wait(60)
        table.update(add(KEY))
        written.set()
        assert found.result()[KEY]["number"] == 2
        assert conflicts.refused == {"TransactGetItems": 1}


def test_concurrent_increments_of_one_item_from_four_processes_all_succeed(dynamodb: Any, name: str) -> None:
    """Four tables act as four processes: each orders its own writers but conflicts with the others."""
    tables = [Table(dynamodb, name) for _ in range(4)]

    def count(n: int) -> None:
        tables[n % 4].transact([add(KEY), add(("USER#x", f"MINE#{n}"))])
        tables[n % 4].update(add(KEY))

    with Conflicts(dynamodb, hold_s=0.003) as conflicts, ThreadPoolExecutor(16) as pool:
        list(pool.map(count, range(64)))
    assert conflicts.refused["TransactWriteItems"] > 0
    assert conflicts.refused["UpdateItem"] > 0
    item = tables[0].get(*KEY)
    assert item and item["number"] == 128


def test_a_single_process_refuses_none_of_its_own_transactions(dynamodb: Any, name: str) -> None:
    table = Table(dynamodb, name)
    with Conflicts(dynamodb, hold_s=0.003) as conflicts, ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda n: table.transact([add(KEY), add(("USER#x", f"N#{n % 3}"))]), range(64)))
    assert not conflicts.refused
    assert conflicts.sent["TransactWriteItems"] == 64


def test_transactions_without_common_items_pass_and_others_keep_their_order() -> None:
    line, order = Line(), []
    entered = threading.Event()

    def step(name: str, items: set[str]) -> None:
        with line.turn(items):
            order.append(name)
            entered.set()

    with ThreadPoolExecutor(3) as pool:
        with line.turn({"a", "b"}):
            first = pool.submit(step, "first", {"b", "c"})
            while len(line._tickets) < 2:
                time.sleep(0.001)
            second = pool.submit(step, "second", {"c"})
            while len(line._tickets) < 3:
                time.sleep(0.001)
            pool.submit(step, "free", {"d"}).result(timeout=5)
            assert order == ["free"], "first, which came before, also waits for c"
        first.result(timeout=5)
        second.result(timeout=5)
    assert order == ["free", "first", "second"]
    assert not line._tickets


def test_a_turn_comes_after_the_time_limit_at_the_latest() -> None:
    line = Line()
    with line.turn({"a"}), ThreadPoolExecutor(1) as pool:

        def impatient() -> None:
            with line.turn({"a"}, limit_s=0.05):
                pass

        pool.submit(impatient).result(timeout=5)
    assert not line._tickets
