"""Exports as items: ZIPs that were ordered, who makes them, and how far they are.

Open ones are in the index by the time they are due: at once, or when whoever makes one has not been heard of for a
while. Who makes one holds it by a token and a lease.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from enum import StrEnum

from services.aws.table import ConditionFailed, Item, Put, Table, Update
from services.records import Record
from services.store import keys
from services.store.writes import TransactionRefused

MINE = "#token = :token AND #status = :working"


class ExportStatus(StrEnum):
    WAITING = "waiting"
    WORKING = "working"
    READY = "ready"
    FAILED = "failed"


class Export(Record):
    """An ordered ZIP. `pictures` were requested, `done` are processed, `missing` no longer exist.

    With `settings`, pictures keep their generation parameters. `size_bytes` and the id of its `file` are None until it
    is ready.
    """

    id: str
    user_id: str
    status: ExportStatus
    pictures: int
    done: int = 0
    missing: int = 0
    size_bytes: int | None = None
    file: str | None = None
    settings: bool
    created_at: datetime
    expires_at: datetime


class ExportStore:
    """The exports of all users. Each method is one AWS call unless it says otherwise."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def add(self, export: Export) -> None:
        """Stores a new export, due immediately."""
        pk, sk = _key(export)
        item: Item = {
            "PK": pk,
            "SK": sk,
            "status": export.status.value,
            "pictures": export.pictures,
            "settings": export.settings,
            "created_at": export.created_at.isoformat(),
            "expires_at": int(export.expires_at.timestamp()),
            "attempts": 0,
            "GSI1PK": keys.EXPORTS,
            "GSI1SK": _due(export.created_at, export.id),
        }
        # The id is new, so a refusal means that our own write was repeated after a lost answer.
        with suppress(TransactionRefused):
            self._table.transact([Put(item, label="export", condition="attribute_not_exists(PK)")])

    def newest(self, user_id: str, *, limit: int) -> tuple[Export, ...]:
        """Returns the user's exports, newest first, including expired ones; strongly consistent."""
        items, _ = self._table.query(keys.user_pk(user_id), keys.EXPORT, limit=limit, consistent=True)
        return tuple(_export(item) for item in items)

    def every(self, user_id: str) -> tuple[Export, ...]:
        """Returns all of the user's exports, strongly consistent; one AWS call for each 1,000."""
        return tuple(_export(item) for item in self._table.each(keys.user_pk(user_id), keys.EXPORT))

    def find(self, user_id: str, export_id: str) -> Export | None:
        """Returns the export, strongly consistent; None if there is none, and for a malformed id without an AWS
        call.
        """
        if not keys.is_job_id(export_id):
            return None
        item = self._table.get(keys.user_pk(user_id), f"{keys.EXPORT}{export_id}")
        return _export(item) if item else None

    def remove(self, export: Export) -> None:
        """Removes the export; no error if it is gone."""
        self._table.delete(*_key(export))

    def begin_again(self, export: Export, at: datetime) -> None:
        """Takes an open export from its builder and makes it due immediately; a closed one stays as it is."""
        with suppress(ConditionFailed):
            self._table.update(
                Update(
                    _key(export),
                    assign={
                        "status": ExportStatus.WAITING.value,
                        "token": keys.new_id(),
                        "attempts": 0,
                        "GSI1SK": _due(at, export.id),
                    },
                    condition="attribute_exists(GSI1PK)",
                )
            )

    def due(self, at: datetime, *, limit: int) -> tuple[Export, ...]:
        """Returns open exports without a builder; eventually consistent."""
        items = self._table.index(keys.EXPORTS, up_to=at.isoformat(), limit=limit)
        return tuple(_export(item) for item in items)

    def claim(self, export: Export, token: str, *, at: datetime, lease_until: datetime) -> int | None:
        """Claims a due export; returns the attempt's number, or None if another builder has it or it is gone.

        A repeated write after a lost answer is recognized by `token`, which is the builder's own. One more read after a
        refusal.
        """
        change = Update(
            _key(export),
            assign={
                "status": ExportStatus.WORKING.value,
                "token": token,
                "done": 0,
                "GSI1SK": _due(lease_until, export.id),
            },
            add={"attempts": 1},
            condition="attribute_exists(GSI1PK) AND #GSI1SK <= :due",
            values={":due": f"{at.isoformat()}~"},
        )
        try:
            item = self._table.update(change)
        except ConditionFailed as exc:
            if not exc.current or exc.current.get("token") != token:
                return None
            item = exc.current
        return int(item["attempts"])

    def renew(self, export: Export, token: str, *, done: int, lease_until: datetime) -> bool:
        """Records the progress and renews the lease; returns False if the export is no longer the token's."""
        change = Update(
            _key(export),
            assign={"done": done, "GSI1SK": _due(lease_until, export.id)},
            condition=MINE,
            values=_mine(token),
        )
        try:
            self._table.update(change)
        except ConditionFailed:
            return False
        return True

    def give_back(self, export: Export, token: str, at: datetime) -> None:
        """Lets the next builder take the export immediately, without counting this attempt."""
        with suppress(ConditionFailed):
            self._table.update(
                Update(
                    _key(export),
                    assign={"GSI1SK": _due(at, export.id)},
                    add={"attempts": -1},
                    condition=MINE,
                    values=_mine(token),
                )
            )

    def fail(self, export: Export, token: str) -> bool:
        """Ends the export without a ZIP; returns False if it is no longer the token's."""
        return self._close(export, token, {"status": ExportStatus.FAILED.value})

    def finish(self, export: Export, token: str, *, size_bytes: int, missing: int) -> bool:
        """Ends the export with the builder's ZIP; returns False if it is no longer the token's."""
        return self._close(
            export,
            token,
            {
                "status": ExportStatus.READY.value,
                "size_bytes": size_bytes,
                "missing": missing,
                "done": export.pictures,
                "file": token,
            },
        )

    def _close(self, export: Export, token: str, assign: Item) -> bool:
        change = Update(
            _key(export),
            assign=assign,
            remove=["GSI1PK", "GSI1SK"],
            condition=MINE,
            values=_mine(token),
        )
        try:
            self._table.update(change)
        except ConditionFailed as exc:
            # A refusal of our own repeated write is a success.
            current: Item = exc.current or {}
            return current.get("token") == token and current.get("status") == assign["status"]
        return True


def _mine(token: str) -> dict[str, str]:
    return {":token": token, ":working": ExportStatus.WORKING.value}


def _key(export: Export) -> tuple[str, str]:
    return keys.user_pk(export.user_id), f"{keys.EXPORT}{export.id}"


def _due(at: datetime, export_id: str) -> str:
    return f"{at.isoformat()}#{export_id}"


def _export(item: Item) -> Export:
    return Export(
        id=item["SK"].removeprefix(keys.EXPORT),
        user_id=keys.user_of(item["PK"]),
        status=ExportStatus(item["status"]),
        pictures=item["pictures"],
        done=item.get("done", 0),
        missing=item.get("missing", 0),
        size_bytes=item.get("size_bytes"),
        file=item.get("file"),
        settings=item["settings"],
        created_at=datetime.fromisoformat(item["created_at"]),
        expires_at=datetime.fromtimestamp(item["expires_at"], UTC),
    )
