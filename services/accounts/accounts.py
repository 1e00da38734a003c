"""People and their API keys, and the sessions that were signed out."""

from __future__ import annotations

import re
import secrets
import string
import time
from collections.abc import Callable

from services.accounts.pool_state import PoolState
from services.clock import now
from services.errors import InvalidRequest, LimitReached, NotFound, NotSignedIn
from services.logs import event
from services.records import Record, Role, User
from services.sentences import sentence
from services.store import keys
from services.store.api_keys import ApiKey, ApiKeyStore
from services.store.profiles import EndedSessions, ProfileStore

__all__ = ["ADMIN_GROUP", "KEY_PREFIX", "MAX_KEYS", "Accounts", "ApiKey", "NewApiKey", "user_id_of"]

ADMIN_GROUP = "admins"
MAX_KEYS = 20
MAX_KEY_NAME = 60
KEY_PREFIX = "atl_"
KEY_ALPHABET = string.ascii_letters + string.digits
# 62^32 possibilities: 190 bits, so a plain SHA-256 is a safe way to keep it.
KEY_CHARACTERS = 32
PROFILE_FRESH_S = 60.0
# Longer than any session lasts.
ENDED_KEPT_S = 13 * 3600
SIGNED_OUT = sentence("This session was signed out. Sign in again.")


class NewApiKey(Record):
    """A new key; `secret` is shown once and never stored."""

    key: ApiKey
    secret: str


class Accounts:
    """Who people are, and their API access."""

    def __init__(self, profiles: ProfileStore, api_keys: ApiKeyStore, pool: PoolState | None = None) -> None:
        """`pool` is None if the studio manages its users itself."""
        self._profiles = profiles
        self._keys = api_keys
        self._pool = pool
        self._fresh: dict[str, tuple[float, User, EndedSessions]] = {}

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
        ended = self.remember(user)
        if began_at in ended:
            raise NotSignedIn(SIGNED_OUT)
        return user

    def end_session(self, user: User, began_at: int) -> None:
        """Signs out every copy of the session that began at `began_at`, on all devices and in all programs."""
        self._profiles.end_session(user.id, began_at, forget_at=began_at + ENDED_KEPT_S)
        self._fresh.pop(user.id, None)
        event("session_ended", user=user.id)

    def remember(self, user: User) -> EndedSessions:
        """Keeps the profile of a user who was just identified; returns their signed-out sessions.

        Two AWS calls a minute and user, three when something changed.
        """
        known = self._fresh.get(user.id)
        if known and known[1] == user and time.monotonic() - known[0] < PROFILE_FRESH_S:
            return known[2]
        if self._profiles.find(user.id) != user:
            self._profiles.save(user, now())
            event("profile_written", user=user.id, role=user.role.value)
        ended = self._profiles.ended_sessions(user.id)
        self._fresh[user.id] = (time.monotonic(), user, ended)
        return ended

    def user(self, user_id: str, *, began_at: int | None = None) -> User:
        """The profile as it is stored now. Raises NotFound, and NotSignedIn when the session that began at `began_at`
        was signed out. One AWS call, two with `began_at`.
        """
        user = self._profiles.find(user_id)
        if user is None:
            raise NotFound("There is no such user.")
        if began_at is not None and self._profiles.is_ended(user_id, began_at):
            raise NotSignedIn(SIGNED_OUT)
        return user

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
        self._keys.add(user.id, key, secret)
        event("api_key_created", user=user.id, key=key.id)
        return NewApiKey(key=key, secret=secret)

    def keys(self, user: User) -> tuple[ApiKey, ...]:
        """Returns the user's keys, newest first, without their secrets. One AWS call."""
        return self._keys.list(user.id, limit=MAX_KEYS + 1)

    def revoke_key(self, user: User, key_id: str) -> None:
        """Revokes a key immediately. Raises NotFound for another user's, malformed, or revoked one. Two AWS calls."""
        if not self._keys.remove(user.id, key_id):
            raise NotFound("There is no such key.")
        event("api_key_revoked", user=user.id, key=key_id)

    def by_api_key(self, secret: str) -> User:
        """The user a key belongs to, with the lower role of their profile and the pool. Two AWS calls, and the pool's.

        Raises NotSignedIn, also for a user who is disabled in the pool.
        """
        well_formed = secret.startswith(KEY_PREFIX) and len(secret) == len(KEY_PREFIX) + KEY_CHARACTERS
        owner = self._keys.owner(secret) if well_formed else None
        if owner is None:
            raise NotSignedIn("This API key is not known. Create one on the Account page.")
        try:
            return self.checked(self.user(owner))
        except NotFound:
            raise NotSignedIn("This API key belongs to a user who was removed.") from None

    def checked(self, user: User) -> User:
        """The user with at most the role that the user pool gives them now; the same user where there is no pool.

        Raises NotSignedIn for one who is disabled or deleted there; who is deleted loses every key. Asks the pool at
        most every two minutes. Raises Unavailable when it cannot say.
        """
        lowered = self.as_in_pool(user)
        if lowered.role is not user.role:
            self._profiles.set_role(user.id, lowered.role)
            event("user_demoted", user=user.id)
        return lowered

    def as_in_pool(self, user: User) -> User:
        """Like `checked`, for a user whose role comes from a token: does not change the profile."""
        if self._pool is None:
            return user
        found = self._pool.of(user.id)
        if found is None:
            self.revoke_keys(user.id)
            raise NotSignedIn("This user was removed from the user pool.", code="unknown_user")
        if not found.enabled:
            raise NotSignedIn(
                "This user is disabled. Ask an admin to enable you again.", code="user_disabled"
            )
        if user.role is Role.ADMIN and ADMIN_GROUP not in found.groups:
            return user.model_copy(update={"role": Role.MAKER})
        return user

    def check_key_holders(self, stopped: Callable[[], bool] = lambda: False) -> None:
        """Checks everybody who has a key: keys of deleted users are removed, former admins demoted.

        Three AWS calls a person. Raises Unavailable when the pool cannot say; the next pass goes on.
        """
        if self._pool is None:
            return
        for user_id in sorted(self._keys.holders()):
            if stopped():
                return
            try:
                self.checked(self.user(user_id))
            except NotSignedIn:
                continue
            except NotFound:
                self.revoke_keys(user_id)

    def revoke_keys(self, user_id: str) -> int:
        """Revokes every key of a user; returns their number. Two AWS calls per key, and one."""
        gone = 0
        while found := self._keys.list(user_id, limit=MAX_KEYS):
            for key in found:
                gone += self._keys.remove(user_id, key.id)
        if gone:
            event("api_keys_revoked", user=user_id, count=gone)
        return gone

    def revoke_access(self, user_id: str) -> int:
        """Revokes every key and signs out every session of a user; returns the number of keys.

        A person who can still sign in at the pool can start a new session. Two AWS calls per key, and two.
        """
        at = int(time.time())
        self._profiles.end_sessions(user_id, at, forget_at=at + ENDED_KEPT_S)
        self._fresh.pop(user_id, None)
        if self._pool is not None:
            self._pool.forget(user_id)
        event("access_revoked", user=user_id)
        return self.revoke_keys(user_id)


def user_id_of(sub: str) -> str:
    """Returns the studio's id of an identity: its UUID without dashes. Raises NotSignedIn for anything else."""
    user_id = sub.replace("-", "").lower()
    if not re.fullmatch(r"[0-9a-f]{32}", user_id):
        raise NotSignedIn("The sign-in carries no usable identity. Sign in again.")
    return user_id
