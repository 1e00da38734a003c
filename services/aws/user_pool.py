"""The Cognito user pool, read with administrator permissions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from botocore.exceptions import ClientError

from services.aws.session import Client, error_code, translated
from services.errors import Unavailable


@dataclass(frozen=True)
class PoolUser:
    """The current state of a pool user; `sub` is a UUID with dashes."""

    sub: str
    enabled: bool
    groups: tuple[str, ...]


class UserPool:
    """One user pool. Needs `cognito-idp:AdminGetUser`, `AdminListGroupsForUser` and `ListUsers`."""

    def __init__(self, client: Client, pool_id: str) -> None:
        self._client = client
        self._pool_id = pool_id

    @translated("Cognito")
    def find(self, user_id: str) -> PoolUser | None:
        """Returns the user with that studio id; None if the pool has none. Two AWS calls. Raises Unavailable."""
        sub = str(UUID(user_id))
        try:
            found = self._client.admin_get_user(UserPoolId=self._pool_id, Username=sub)
            groups: list[str] = []
            request = {"UserPoolId": self._pool_id, "Username": found["Username"]}
            while True:
                answer = self._client.admin_list_groups_for_user(**request)
                groups += [group["GroupName"] for group in answer["Groups"]]
                if not answer.get("NextToken"):
                    break
                request["NextToken"] = answer["NextToken"]
        except ClientError as exc:
            if error_code(exc) == "UserNotFoundException":
                return None
            raise _explained(exc) from exc
        return PoolUser(sub, bool(found["Enabled"]), tuple(groups))

    @translated("Cognito")
    def subs_of_email(self, email: str) -> tuple[str, ...]:
        """The subs of all users with that address. One AWS call. Raises Unavailable."""
        quoted = email.replace("\\", "\\\\").replace('"', '\\"')
        try:
            answer = self._client.list_users(UserPoolId=self._pool_id, Filter=f'email = "{quoted}"')
        except ClientError as exc:
            raise _explained(exc) from exc
        return tuple(_sub(user) for user in answer["Users"])


def _sub(user: dict[str, Any]) -> str:
    return str(next(item["Value"] for item in user["Attributes"] if item["Name"] == "sub"))


def _explained(exc: ClientError) -> ClientError | Unavailable:
    if error_code(exc) == "AccessDeniedException":
        return Unavailable(
            "The studio may not read its user pool. Grant it cognito-idp:AdminGetUser, "
            "cognito-idp:AdminListGroupsForUser and cognito-idp:ListUsers."
        )
    return exc
