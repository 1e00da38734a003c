"""What a request to DynamoDB or Cognito changed, as records for the journal.

MiniStack stores every item through two functions; these are replaced by ones that also note it. The items that one
request writes are one record, so a transaction is on disk whole or not at all. Of tables and accounts the parts that
changed are recorded.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from local.cloud.parts import PartsOfService, Path
from local.cloud.records import line_of

DYNAMODB_TARGET = "DynamoDB_20120810."
COGNITO_TARGET = "AWSCognitoIdentityProviderService."
ITEM_ACTIONS = frozenset({"PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems", "BatchWriteItem"})
READS = ("Get", "Query", "Scan", "BatchGet", "TransactGet", "Describe", "List", "AdminGet", "AdminList")
# The hosted sign-in: both keep codes and tokens.
SIGN_IN_PATHS = ("/login", "/oauth2/token")
# DynamoDB's state besides the tables, as MiniStack's `get_state` names it.
STORES = (
    *("tags", "ttl_settings", "pitr_settings", "kinesis_destinations", "contributor_insights"),
    *("backups", "resource_policies", "exports", "imports"),
)
ITEMS, MEMBERS = "items", "_index_members"


def writes(method: str, path: str, headers: Mapping[str, str]) -> str | None:
    """Returns the service whose state the request may change, if the journal keeps it: "dynamodb", "cognito"."""
    target = headers.get("x-amz-target", "")
    if target.startswith(DYNAMODB_TARGET):
        return None if target.rpartition(".")[2].startswith(READS) else "dynamodb"
    if target.startswith(COGNITO_TARGET):
        return None if target.rpartition(".")[2].startswith(READS) else "cognito"
    return "cognito" if method == "POST" and path.startswith(SIGN_IN_PATHS) else None


class Recorder:
    """Notes what is written to MiniStack's `dynamodb` module and `cognito` module, and appends it to a journal."""

    def __init__(
        self,
        dynamodb: Any,
        cognito: Any,
        persistence: Any,
        *,
        known: Mapping[str, Mapping[Path, Any]],
        append: Callable[[bytes], None],
    ) -> None:
        """`known` holds the parts of each service that are on disk."""
        self._append = append
        # Items are written on the event loop, and by MiniStack's thread that removes expired ones.
        self._noted = threading.local()
        default = persistence._json_default
        self._parts = {
            "dynamodb": PartsOfService(
                lambda: table_state(dynamodb, persistence), default, known.get("dynamodb", {})
            ),
            "cognito": PartsOfService(
                lambda: _tried_again(cognito.get_state), default, known.get("cognito", {})
            ),
        }
        self._dynamodb = dynamodb
        self._tables = self._table_names()
        self._follow_items(dynamodb)

    def _follow_items(self, dynamodb: Any) -> None:
        set_item, remove_item = dynamodb._set_item, dynamodb._remove_item
        replaced, handle = dynamodb._items_replaced, dynamodb.handle_request

        def noted_set(table: dict[str, Any], pk: str, sk: str, item: dict[str, Any]) -> Any:
            old = set_item(table, pk, sk, item)
            self._note([table["TableArn"], pk, sk, item])
            return old

        def noted_remove(table: dict[str, Any], pk: str, sk: str) -> Any:
            old = remove_item(table, pk, sk)
            if old is not None:
                self._note([table["TableArn"], pk, sk, None])
            return old

        def noted_replaced(table: dict[str, Any]) -> None:
            replaced(table)
            name = table["TableArn"]
            self._append(line_of(["clear", name]))
            rows = [
                [name, pk, sk, item] for pk, bucket in table[ITEMS].items() for sk, item in bucket.items()
            ]
            self._append(line_of([ITEMS, rows]))

        async def noted_request(*arguments: Any) -> Any:
            self._noted.rows = []
            try:
                # Its handlers do not wait, so no other request runs in between.
                return await handle(*arguments)
            finally:
                rows, self._noted.rows = self._noted.rows, None
                if rows:
                    self._append(line_of([ITEMS, rows]))

        dynamodb._set_item, dynamodb._remove_item = noted_set, noted_remove
        dynamodb._items_replaced, dynamodb.handle_request = noted_replaced, noted_request

    def _note(self, row: list[Any]) -> None:
        rows = getattr(self._noted, "rows", None)
        if rows is None:
            self._append(line_of([ITEMS, [row]]))
        else:
            rows.append(row)

    def after(self, service: str, headers: Mapping[str, str]) -> None:
        """Appends what a request to `service` changed besides items."""
        if service == "dynamodb" and headers.get("x-amz-target", "").rpartition(".")[2] in ITEM_ACTIONS:
            return
        changes = self._parts[service].changes()
        if changes:
            self._append(line_of(["parts", service, changes]))
        if service == "dynamodb":
            # A table of the same name may be made later.
            before, self._tables = self._tables, self._table_names()
            for name in before - self._tables:
                self._append(line_of(["clear", name]))

    def _table_names(self) -> set[str]:
        return {table["TableArn"] for table in self._dynamodb._tables.all_values()}

    def after_reset(self) -> None:
        """Appends that everything is gone, after MiniStack's reset."""
        for parts in self._parts.values():
            parts.forget()
        self._tables = self._table_names()
        self._append(line_of(["wipe"]))


def table_state(dynamodb: Any, persistence: Any) -> dict[str, Any]:
    """Returns DynamoDB's state without the items, which may be many: the form that MiniStack restores."""
    tables = persistence.AccountRegionScopedDict()
    for (account, region, name), table in dynamodb._tables.all_items():
        described = {key: value for key, value in table.items() if key not in (ITEMS, MEMBERS)}
        tables.set_scoped(account, region, name, described)
    return {"tables": tables} | {name: getattr(dynamodb, f"_{name}") for name in STORES}


def _tried_again(state: Callable[[], Any]) -> Any:
    """Returns the state although a thread of MiniStack's changes it at the same time."""
    while True:
        try:
            return state()
        except RuntimeError:  # a dictionary changed its size while it was copied
            continue
