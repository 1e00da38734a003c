"""Profiles: who a person is, as the last sign-in said it; and the sessions that were signed out."""

from __future__ import annotations

from datetime import datetime

from services.aws.table import ConditionFailed, Item, Table, Update
from services.records import Role, User
from services.store import keys


class ProfileStore:
    """The profiles of all users. Each method is one AWS call."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def find(self, user_id: str) -> User | None:
        """The profile, strongly consistent; None for somebody who never signed in."""
        item = self._table.get(keys.user_pk(user_id), keys.PROFILE)
        return _user(item) if item else None

    def save(self, user: User, at: datetime) -> None:
        """Keeps the profile in place of the one before."""
        self._table.update(
            Update(
                key=(keys.user_pk(user.id), keys.PROFILE),
                assign={
                    "email": user.email,
                    "name": user.name,
                    "role": user.role.value,
                    "updated_at": at.isoformat(),
                },
            )
        )

    def set_role(self, user_id: str, role: Role) -> bool:
        """Changes the role; False when there is no profile."""
        try:
            self._table.update(
                Update(
                    key=(keys.user_pk(user_id), keys.PROFILE),
                    assign={"role": role.value},
                    condition="attribute_exists(PK)",
                )
            )
        except ConditionFailed:
            return False
        return True

    def remove(self, user_id: str) -> None:
        """Removes the profile; no error when it is gone already."""
        self._table.delete(keys.user_pk(user_id), keys.PROFILE)

    def end_session(self, user_id: str, began_at: int, *, forget_at: int) -> None:
        """Marks the session that began at `began_at` as signed out until `forget_at`, both in seconds since 1970."""
        self._table.put(
            {"PK": keys.user_pk(user_id), "SK": f"{keys.ENDED}{began_at}", "expires_at": forget_at}
        )

    def ended_sessions(self, user_id: str) -> frozenset[int]:
        """When the user's sessions began that were signed out, in seconds since 1970."""
        marks = self._table.each(keys.user_pk(user_id), keys.ENDED)
        return frozenset(int(item["SK"].removeprefix(keys.ENDED)) for item in marks)

    def is_ended(self, user_id: str, began_at: int) -> bool:
        """True when the session that began at `began_at` was signed out."""
        return self._table.get(keys.user_pk(user_id), f"{keys.ENDED}{began_at}") is not None


def _user(item: Item) -> User:
    return User(
        id=keys.user_of(item["PK"]),
        email=item["email"],
        role=Role(item["role"]),
        name=item.get("name", ""),
    )
