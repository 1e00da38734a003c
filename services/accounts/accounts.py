"""People and their keys: profiles from sign-in, API keys by hash, and the users of an install without Cognito."""

from __future__ import annotations

import contextlib
import re
import secrets
import string
import time
from datetime import datetime

import bcrypt

from services.aws.table import ConditionFailed, Delete, Item, Put, Table, TransactionRefused, Update
from services.clock import now
from services.errors import Conflict, InvalidRequest, LimitReached, NotFound, NotSignedIn
from services.logs import event
from services.records import Record, Role, User
from services.sentences import sentence
from services.store import keys

ADMIN_GROUP = "admins"
MAX_KEYS = 20
MAX_KEY_NAME = 60
KEY_PREFIX = "atl_"
KEY_ALPHABET = string.ascii_letters + string.digits
# 62^32 possibilities: 190 bits, so a plain SHA-256 is a safe way to keep it.
KEY_CHARACTERS = 32
MIN_PASSWORD_CHARACTERS = 12
# bcrypt reads no further than this.
MAX_PASSWORD_BYTES = 72
PROFILE_FRESH_S = 60.0
ENDED = "ENDED#"
# Longer than any session lasts.
ENDED_KEPT_S = 13 * 3600
SIGNED_OUT = sentence("This session was signed out. Sign in again.")
LOGIN_PK = "LOGIN"
LOGIN_SK = "NAME#"
_USERNAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


class ApiKey(Record):
    """An API key without its secret: `id` is a ULID, `prefix` its first characters for recognition."""

    id: str
    name: str
    prefix: str
    created_at: datetime


class NewApiKey(Record):
    """A key just made; `secret` is shown once and never stored."""

    key: ApiKey
    secret: str


class LocalUser(Record):
    """A person who signs in with a password kept here (AUTH_MODE=local); `password_hash` is bcrypt's."""

    username: str
    email: str
    name: str
    password_hash: str
    user_id: str
    role: Role


class Accounts:
    """Who people are and what lets their programs in."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._fresh: dict[str, tuple[float, User, frozenset[int]]] = {}

    def sign_in(
        self, *, sub: str, email: str, groups: tuple[str, ...], name: str = "", began_at: int | None = None
    ) -> User:
        """The user behind a verified identity; the profile is written when anything in it changed.

        Role admin comes from the group `admins` and from nothing else. `began_at` is when the password was typed, in
        seconds since 1970: a session that was signed out is refused within a minute, in this process at once. Two AWS
        calls a minute and user, three when something changed. Raises NotSignedIn, also for a subject that is not a
        UUID.
        """
        user_id = user_id_of(sub)
        role = Role.ADMIN if ADMIN_GROUP in groups else Role.MAKER
        user = User(id=user_id, email=email, role=role, name=name)
        ended = self._remember(user)
        if began_at in ended:
            raise NotSignedIn(SIGNED_OUT)
        return user

    def end_session(self, user: User, began_at: int) -> None:
        """Signs out every copy of the session that began at `began_at`, on all devices and in all programs."""
        self._table.put(
            {
                "PK": keys.user_pk(user.id),
                "SK": f"{ENDED}{began_at}",
                "expires_at": began_at + ENDED_KEPT_S,
            }
        )
        self._fresh.pop(user.id, None)
        event("session_ended", user=user.id)

    def sign_in_local(self, local: LocalUser) -> User:
        """The user behind a local login that was just checked. One AWS call a minute and user."""
        user = User(id=local.user_id, email=local.email, role=local.role, name=local.name)
        self._remember(user)
        return user

    def _remember(self, user: User) -> frozenset[int]:
        """Keeps the profile as it is given, and returns the beginnings of the sessions that were signed out."""
        known = self._fresh.get(user.id)
        if known and known[1] == user and time.monotonic() - known[0] < PROFILE_FRESH_S:
            return known[2]
        stored = self._table.get(keys.user_pk(user.id), keys.PROFILE)
        if stored is None or _user(stored) != user:
            self._table.update(
                Update(
                    key=(keys.user_pk(user.id), keys.PROFILE),
                    assign={
                        "email": user.email,
                        "name": user.name,
                        "role": user.role.value,
                        "updated_at": now().isoformat(),
                    },
                )
            )
            event("profile_written", user=user.id, role=user.role.value)
        marks = self._table.each(keys.user_pk(user.id), ENDED)
        ended = frozenset(int(item["SK"].removeprefix(ENDED)) for item in marks)
        self._fresh[user.id] = (time.monotonic(), user, ended)
        return ended

    def user(self, user_id: str, *, began_at: int | None = None) -> User:
        """The profile as it is stored now. Raises NotFound, and NotSignedIn when the session that began at `began_at`
        was signed out. One AWS call, two with `began_at`.
        """
        pk = keys.user_pk(user_id)
        item = self._table.get(pk, keys.PROFILE)
        if item is None:
            raise NotFound("There is no such user.")
        if began_at is not None and self._table.get(pk, f"{ENDED}{began_at}") is not None:
            raise NotSignedIn(SIGNED_OUT)
        return _user(item)

    def create_key(self, user: User, name: str) -> NewApiKey:
        """Makes an API key; its secret is in the answer and nowhere else. Two AWS calls.

        Raises InvalidRequest for an empty or long name, LimitReached at twenty keys.
        """
        name = name.strip()
        if not name or len(name) > MAX_KEY_NAME or not name.isprintable():
            raise InvalidRequest(
                sentence("Give the key a name of 1 to {most} characters.", most=MAX_KEY_NAME), param="name"
            )
        if len(self.keys(user)) >= MAX_KEYS:
            raise LimitReached(
                sentence("You have {count} keys, the most. Revoke one first.", count=MAX_KEYS),
                code="too_many_keys",
            )
        secret = KEY_PREFIX + "".join(secrets.choice(KEY_ALPHABET) for _ in range(KEY_CHARACTERS))
        key = ApiKey(id=keys.new_id(), name=name, prefix=secret[: len(KEY_PREFIX) + 4], created_at=now())
        item: Item = {"name": name, "prefix": key.prefix, "created_at": key.created_at.isoformat()}
        pk, hashed = keys.user_pk(user.id), keys.digest(secret)
        try:
            self._table.transact(
                [
                    Put(
                        item={"PK": f"KEY#{hashed}", "SK": "KEY", "user": user.id, "key": key.id},
                        label="key",
                        condition="attribute_not_exists(PK)",
                    ),
                    Put(
                        item={"PK": pk, "SK": f"{keys.API_KEY}{key.id}", "hash": hashed} | item, label="list"
                    ),
                ]
            )
        except TransactionRefused:
            # Its answer was lost and it was sent again: the stored key is this one, nobody else can draw it.
            stored = self._table.get(f"KEY#{hashed}", "KEY")
            if stored is None or stored["key"] != key.id:
                raise
        event("api_key_created", user=user.id, key=key.id)
        return NewApiKey(key=key, secret=secret)

    def keys(self, user: User) -> tuple[ApiKey, ...]:
        """The user's keys, newest first, without their secrets. One AWS call."""
        items, _ = self._table.query(keys.user_pk(user.id), keys.API_KEY, limit=MAX_KEYS + 1)
        return tuple(
            ApiKey.model_validate(
                {
                    "id": item["SK"].removeprefix(keys.API_KEY),
                    "name": item["name"],
                    "prefix": item["prefix"],
                    "created_at": item["created_at"],
                }
            )
            for item in items
        )

    def revoke_key(self, user: User, key_id: str) -> None:
        """Ends a key at once. Raises NotFound for a foreign, malformed or revoked one. Two AWS calls."""
        sk = f"{keys.API_KEY}{key_id}"
        item = self._table.get(keys.user_pk(user.id), sk) if keys.is_job_id(key_id) else None
        if item is None:
            raise NotFound("There is no such key.")
        self._table.transact(
            [
                Delete(key=(f"KEY#{item['hash']}", "KEY"), label="key"),
                Delete(key=(keys.user_pk(user.id), sk), label="list"),
            ]
        )
        event("api_key_revoked", user=user.id, key=key_id)

    def by_api_key(self, secret: str) -> User:
        """The user a key belongs to, with the role of their profile now. Raises NotSignedIn. Two AWS calls."""
        well_formed = secret.startswith(KEY_PREFIX) and len(secret) == len(KEY_PREFIX) + KEY_CHARACTERS
        item = self._table.get(f"KEY#{keys.digest(secret)}", "KEY") if well_formed else None
        if item is None:
            raise NotSignedIn("This API key is not known. Create one on the Account page.")
        try:
            return self.user(item["user"])
        except NotFound:
            raise NotSignedIn("This API key belongs to a user who was removed.") from None

    def local_users(self) -> dict[str, LocalUser]:
        """The users of an install without Cognito, by username. One AWS call for each 1,000."""
        users = (_local_user(item) for item in self._table.each(LOGIN_PK, LOGIN_SK))
        return {user.username: user for user in users}

    def add_local_user(self, username: str, *, email: str, name: str, password: str, role: Role) -> LocalUser:
        """Adds a user with a password. Raises InvalidRequest, and Conflict for a name that is taken. One AWS call."""
        if not _USERNAME.fullmatch(username):
            raise InvalidRequest(
                "A username is 1 to 40 of a-z, 0-9, '.', '_' and '-', beginning with a letter or digit.",
                param="username",
            )
        if not _EMAIL.fullmatch(email):
            raise InvalidRequest("That is no e-mail address.", param="email")
        user = LocalUser(
            username=username,
            email=email,
            name=name,
            password_hash=hash_password(password),
            user_id=secrets.token_hex(16),
            role=role,
        )
        try:
            self._table.transact(
                [
                    Put(
                        item={"PK": LOGIN_PK, "SK": LOGIN_SK + username} | user.model_dump(mode="json"),
                        label="login",
                        condition="attribute_not_exists(PK)",
                    )
                ]
            )
        except TransactionRefused:
            stored = self._table.get(LOGIN_PK, LOGIN_SK + username)
            if stored is None or stored["user_id"] != user.user_id:
                raise Conflict(sentence("There is a user {name} already.", name=username)) from None
        event("local_user_added", user=user.user_id, role=role.value)
        return user

    def set_local_password(self, username: str, password: str) -> None:
        """Sets a new password. Raises NotFound, InvalidRequest. One AWS call."""
        self._change_login(username, {"password_hash": hash_password(password)})

    def set_local_role(self, username: str, role: Role) -> None:
        """Gives a user, and every key they have, another role at once. Raises NotFound. Two AWS calls."""
        user_id = self._change_login(username, {"role": role.value})
        with contextlib.suppress(ConditionFailed):  # Who never signed in has no profile yet.
            self._table.update(
                Update(
                    key=(keys.user_pk(user_id), keys.PROFILE),
                    assign={"role": role.value},
                    condition="attribute_exists(PK)",
                )
            )

    def remove_local_user(self, username: str) -> None:
        """Takes away the login and every API key; pictures stay. Raises NotFound.

        The login goes last, so that after a crash the same command ends what it began.
        """
        login = self._table.get(LOGIN_PK, LOGIN_SK + username)
        if login is None:
            raise NotFound(sentence("There is no user {name}.", name=username))
        user = User(id=login["user_id"], email=login["email"])
        for key in self.keys(user):
            self.revoke_key(user, key.id)
        self._table.delete(keys.user_pk(user.id), keys.PROFILE)
        self._table.delete(LOGIN_PK, LOGIN_SK + username)

    def _change_login(self, username: str, assign: dict[str, str]) -> str:
        """Changes a login and returns the id of its user."""
        try:
            item = self._table.update(
                Update(key=(LOGIN_PK, LOGIN_SK + username), assign=assign, condition="attribute_exists(PK)")
            )
            return str(item["user_id"])
        except ConditionFailed:
            raise NotFound(sentence("There is no user {name}.", name=username)) from None


def user_id_of(sub: str) -> str:
    """The studio's id of an identity: its UUID without dashes. Raises NotSignedIn for anything else."""
    user_id = sub.replace("-", "").lower()
    if not re.fullmatch(r"[0-9a-f]{32}", user_id):
        raise NotSignedIn("The sign-in carries no usable identity. Sign in again.")
    return user_id


def hash_password(password: str) -> str:
    """bcrypt at cost 12. Raises InvalidRequest for one that is too short, or longer than bcrypt reads."""
    if len(password) < MIN_PASSWORD_CHARACTERS:
        raise InvalidRequest(
            sentence("A password has at least {least} characters.", least=MIN_PASSWORD_CHARACTERS),
            param="password",
        )
    if len(password.encode()) > MAX_PASSWORD_BYTES:
        raise InvalidRequest(
            sentence("A password has at most {most} bytes.", most=MAX_PASSWORD_BYTES), param="password"
        )
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(12)).decode()


def _user(item: Item) -> User:
    return User(
        id=item["PK"].removeprefix("USER#"),
        email=item["email"],
        role=Role(item["role"]),
        name=item.get("name", ""),
    )


def _local_user(item: Item) -> LocalUser:
    return LocalUser.model_validate({name: item[name] for name in LocalUser.model_fields})
