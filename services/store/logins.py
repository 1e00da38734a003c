"""Logins of installations without Cognito, by username."""

from __future__ import annotations

from services.aws.table import ConditionFailed, Item, Put, Table, Update
from services.records import Record, Role
from services.store.writes import TransactionRefused

LOGIN_PK = "LOGIN"
LOGIN_SK = "NAME#"


class LocalUser(Record):
    """A person who signs in with a password kept here (AUTH_MODE=local); `password_hash` is bcrypt's.

    Only sessions of the current `epoch` are signed in: a new password begins the next one.
    """

    username: str
    email: str
    name: str
    password_hash: str
    user_id: str
    role: Role
    epoch: int = 0


class LoginStore:
    """The logins of an installation. Each method is one AWS call unless it says otherwise."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def all(self) -> tuple[LocalUser, ...]:
        """Returns all users; one AWS call for each 1,000."""
        return tuple(_local_user(item) for item in self._table.each(LOGIN_PK, LOGIN_SK))

    def find(self, username: str) -> LocalUser | None:
        """Returns the login with that name, or None."""
        item = self._table.get(LOGIN_PK, LOGIN_SK + username)
        return _local_user(item) if item else None

    def add(self, user: LocalUser) -> bool:
        """Stores a new login; returns False if the name is taken. One more read if the write was refused."""
        item = {"PK": LOGIN_PK, "SK": LOGIN_SK + user.username} | user.model_dump(mode="json")
        try:
            self._table.transact([Put(item=item, label="login", condition="attribute_not_exists(PK)")])
        except TransactionRefused:
            # The write was repeated after a lost answer: then the stored login is this one.
            stored = self.find(user.username)
            return stored is not None and stored.user_id == user.user_id
        return True

    def set_password_hash(self, username: str, password_hash: str) -> str | None:
        """Keeps another password and begins the next epoch; the id of the user, None when there is no such login."""
        return self._change(username, {"password_hash": password_hash}, next_epoch=True)

    def set_role(self, username: str, role: Role) -> str | None:
        """Gives the login another role; the id of the user, None when there is no such login."""
        return self._change(username, {"role": role.value})

    def remove(self, username: str) -> None:
        """Removes the login; no error if it is gone."""
        self._table.delete(LOGIN_PK, LOGIN_SK + username)

    def _change(self, username: str, assign: dict[str, str], *, next_epoch: bool = False) -> str | None:
        try:
            item = self._table.update(
                Update(
                    key=(LOGIN_PK, LOGIN_SK + username),
                    assign=assign,
                    add={"epoch": 1} if next_epoch else {},
                    condition="attribute_exists(PK)",
                )
            )
        except ConditionFailed:
            return None
        return str(item["user_id"])


def _local_user(item: Item) -> LocalUser:
    return LocalUser.model_validate({name: item[name] for name in LocalUser.model_fields if name in item})
