"""Profiles: a person's data from the last sign-in, and the sessions that were signed out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from services.aws.table import ConditionFailed, Item, Table, Update
from services.records import Role, User
from services.store import keys


@dataclass(frozen=True)
class EndedSessions:
    """The signed-out sessions of a user by when they began: those of `began`, and all up to `up_to`."""

    began: frozenset[int] = frozenset()
    up_to: int = -1

    def __contains__(self, began_at: object) -> bool:
        return isinstance(began_at, int) and (began_at in self.began or began_at <= self.up_to)


# Sort key of the mark that ends all sessions up to a time.
ALL = f"{keys.ENDED}all"


class ProfileStore:
    """The profiles of all users. Each method is one AWS call."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def find(self, user_id: str) -> User | None:
        """Returns the profile, strongly consistent; None before the first sign-in."""
        item = self._table.get(keys.user_pk(user_id), keys.PROFILE)
        return _user(item) if item else None

    def save(self, user: User, at: datetime) -> None:
        """Replaces the profile."""
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
        """Changes the role; returns False if there is no profile."""
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
        """Removes the profile; no error if it is gone."""
        self._table.delete(keys.user_pk(user_id), keys.PROFILE)

    def end_session(self, user_id: str, began_at: int, *, forget_at: int) -> None:
        """Marks the session that began at `began_at` as signed out until `forget_at`, both in seconds since 1970."""
        self._table.put(
            {"PK": keys.user_pk(user_id), "SK": f"{keys.ENDED}{began_at}", "expires_at": forget_at}
        )

    def end_sessions(self, user_id: str, up_to: int, *, forget_at: int) -> None:
        """Marks all sessions that began by `up_to` as signed out until `forget_at`, both in seconds since 1970."""
        self._table.put({"PK": keys.user_pk(user_id), "SK": ALL, "up_to": up_to, "expires_at": forget_at})

    def ended_sessions(self, user_id: str) -> EndedSessions:
        """Returns the user's signed-out sessions."""
        marks = {item["SK"]: item for item in self._table.each(keys.user_pk(user_id), keys.ENDED)}
        everything = marks.pop(ALL, None)
        began = frozenset(int(sk.removeprefix(keys.ENDED)) for sk in marks)
        return EndedSessions(began) if everything is None else EndedSessions(began, int(everything["up_to"]))

    def is_ended(self, user_id: str, began_at: int) -> bool:
        """Whether the session that began at `began_at` was signed out."""
        pk = keys.user_pk(user_id)
        marks = self._table.get_many([(pk, f"{keys.ENDED}{began_at}"), (pk, ALL)])
        everything = marks.pop((pk, ALL), None)
        return bool(marks) or (everything is not None and began_at <= int(everything["up_to"]))


def _user(item: Item) -> User:
    return User(
        id=keys.user_of(item["PK"]),
        email=item["email"],
        role=Role(item["role"]),
        name=item.get("name", ""),
    )
