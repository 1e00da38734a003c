"""The users of an installation without Cognito: logins, passwords, and roles."""

from __future__ import annotations

import re
import secrets

import bcrypt

from services.accounts.accounts import SIGNED_OUT, Accounts
from services.errors import Conflict, InvalidRequest, NotFound, NotSignedIn
from services.logs import event
from services.records import Role, User
from services.sentences import sentence
from services.store.logins import LocalUser, LoginStore
from services.store.profiles import ProfileStore

__all__ = ["LocalUser", "LocalUsers", "hash_password"]

MIN_PASSWORD_CHARACTERS = 12
# bcrypt ignores everything beyond this.
MAX_PASSWORD_BYTES = 72
_USERNAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


class LocalUsers:
    """The logins of an installation with AUTH_MODE=local."""

    def __init__(self, logins: LoginStore, profiles: ProfileStore, accounts: Accounts) -> None:
        self._logins = logins
        self._profiles = profiles
        self._accounts = accounts

    def all(self) -> dict[str, LocalUser]:
        """Returns all users by username. One AWS call for each 1,000."""
        return {user.username: user for user in self._logins.all()}

    def sign_in(self, local: LocalUser, *, began_at: int | None = None, epoch: int | None = None) -> User:
        """The user behind a login that was just checked, in the session that began at `began_at` (seconds since 1970).

        Two AWS calls a minute and user, three after a change. Raises NotSignedIn when that session was signed out, or
        is of an `epoch` that a new password ended.
        """
        if epoch is not None and epoch != local.epoch:
            raise NotSignedIn(SIGNED_OUT)
        user = User(id=local.user_id, email=local.email, role=local.role, name=local.name)
        if began_at in self._accounts.remember(user):
            raise NotSignedIn(SIGNED_OUT)
        return user

    def add(self, username: str, *, email: str, name: str, password: str, role: Role) -> LocalUser:
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
        if not self._logins.add(user):
            raise Conflict(sentence("There is a user {name} already.", name=username))
        event("local_user_added", user=user.user_id, role=role.value)
        return user

    def set_password(self, username: str, password: str) -> None:
        """Sets a new password and signs the user out everywhere. Raises NotFound, InvalidRequest. One AWS call."""
        if self._logins.set_password_hash(username, hash_password(password)) is None:
            raise _missing(username)

    def set_role(self, username: str, role: Role) -> None:
        """Changes a user's role immediately, also for their keys. Raises NotFound. Two AWS calls."""
        user_id = self._logins.set_role(username, role)
        if user_id is None:
            raise _missing(username)
        # A user who never signed in has no profile yet.
        self._profiles.set_role(user_id, role)

    def remove(self, username: str) -> None:
        """Removes the login and every API key; pictures stay. Raises NotFound.

        The login is removed last, so that repeating the command after a crash finishes it.
        """
        login = self._logins.find(username)
        if login is None:
            raise _missing(username)
        self._accounts.revoke_keys(login.user_id)
        self._profiles.remove(login.user_id)
        self._logins.remove(username)


def hash_password(password: str) -> str:
    """Hashes with bcrypt at cost 12. Raises InvalidRequest for a password that is too short or too long for bcrypt."""
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


def _missing(username: str) -> NotFound:
    return NotFound(sentence("There is no user {name}.", name=username))
