"""Revokes all access of people who leave, found by email address, username, or id."""

from __future__ import annotations

from services.accounts.accounts import Accounts, user_id_of
from services.aws.user_pool import UserPool
from services.errors import InvalidRequest, NotAllowed, NotFound, NotSignedIn
from services.logs import event
from services.records import Role, User
from services.sentences import sentence
from services.store.logins import LoginStore


class Leavers:
    """Revokes all access of a person. `pool` is None if the studio manages its users itself."""

    def __init__(self, accounts: Accounts, logins: LoginStore, pool: UserPool | None) -> None:
        self._accounts = accounts
        self._logins = logins
        self._pool = pool

    def revoke(self, name: str) -> int:
        """Revokes the keys and sessions of one person; returns how many keys there were.

        `name` is an e-mail address, a username of the studio's own list, or an id (a UUID or 32 hex digits), which also
        finds a person who is deleted already. Raises NotFound, InvalidRequest.
        """
        return self._accounts.revoke_access(self._user_id(name.strip()))

    def revoke_as(self, admin: User, name: str) -> int:
        """Like `revoke`, for an admin. Raises NotAllowed for anyone else."""
        if admin.role is not Role.ADMIN:
            raise NotAllowed("Only an admin can revoke the access of others.")
        count = self.revoke(name)
        event("access_revoked_by_admin", user=admin.id)
        return count

    def _user_id(self, name: str) -> str:
        try:
            return user_id_of(name)
        except NotSignedIn:
            found = self._known_as(name)
        if not found:
            raise NotFound(sentence("There is no user {name}.", name=name))
        if len(found) > 1:
            raise InvalidRequest("Several users have this address. Give the id of one.", param="name")
        return found.pop()

    def _known_as(self, name: str) -> set[str]:
        if self._pool is not None:
            return {user_id_of(sub) for sub in self._pool.subs_of_email(name)} if "@" in name else set()
        wanted = name.lower()
        return {
            user.user_id
            for user in self._logins.all()
            if wanted in (user.username.lower(), user.email.lower())
        }
