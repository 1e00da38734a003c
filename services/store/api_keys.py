"""API keys: one record lists a key for its user, another maps the secret's hash to the user."""

from __future__ import annotations

from datetime import datetime

from services.aws.table import Delete, Put, Table
from services.records import Record
from services.store import keys
from services.store.writes import TransactionRefused


class ApiKey(Record):
    """An API key without its secret: `id` is a ULID, `prefix` its first characters for recognition."""

    id: str
    name: str
    prefix: str
    created_at: datetime


class ApiKeyStore:
    """The API keys of all users. Only a hash of each secret is stored."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def add(self, user_id: str, key: ApiKey, secret: str) -> None:
        """Stores a new key. One AWS call, and a read if its answer was lost."""
        hashed = keys.digest(secret)
        leads = Put(
            item={"PK": f"KEY#{hashed}", "SK": "KEY", "user": user_id, "key": key.id},
            label="key",
            condition="attribute_not_exists(PK)",
        )
        listed = Put(
            item={
                "PK": keys.user_pk(user_id),
                "SK": f"{keys.API_KEY}{key.id}",
                "hash": hashed,
                "name": key.name,
                "prefix": key.prefix,
                "created_at": key.created_at.isoformat(),
                "GSI1PK": keys.KEY_HOLDERS,
                "GSI1SK": f"{user_id}#{key.id}",
            },
            label="list",
        )
        try:
            self._table.transact([leads, listed])
        except TransactionRefused:
            # The write was repeated after a lost answer: the stored key is this one, as secrets are random.
            stored = self._table.get(f"KEY#{hashed}", "KEY")
            if stored is None or stored["key"] != key.id:
                raise

    def list(self, user_id: str, *, limit: int) -> tuple[ApiKey, ...]:
        """The user's keys, newest first. One AWS call."""
        items, _ = self._table.query(keys.user_pk(user_id), keys.API_KEY, limit=limit)
        return tuple(
            ApiKey(
                id=item["SK"].removeprefix(keys.API_KEY),
                name=item["name"],
                prefix=item["prefix"],
                created_at=datetime.fromisoformat(item["created_at"]),
            )
            for item in items
        )

    def holders(self) -> frozenset[str]:
        """The ids of all users with a key, eventually consistent. One AWS call for each 1 MB of keys."""
        return frozenset(keys.user_of(item["PK"]) for item in self._table.index(keys.KEY_HOLDERS))

    def owner(self, secret: str) -> str | None:
        """Returns the id of the secret's user, or None. One AWS call."""
        item = self._table.get(f"KEY#{keys.digest(secret)}", "KEY")
        return str(item["user"]) if item else None

    def remove(self, user_id: str, key_id: str) -> bool:
        """Removes a key; returns False if it is another user's, malformed, or gone. Two AWS calls."""
        pk, sk = keys.user_pk(user_id), f"{keys.API_KEY}{key_id}"
        item = self._table.get(pk, sk) if keys.is_job_id(key_id) else None
        if item is None:
            return False
        self._table.transact(
            [
                Delete(key=(f"KEY#{item['hash']}", "KEY"), label="key"),
                Delete(key=(pk, sk), label="list"),
            ]
        )
        return True
