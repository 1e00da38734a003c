"""Creates the maker and the admin of a fresh studio: an account for either way to sign in, and an API key each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from local.resources import Resources, client_factory
from local.signin import ADMINS, MAKERS, make_user
from services.accounts.accounts import Accounts
from services.accounts.local_users import LocalUsers
from services.aws.session import make_clients
from services.aws.table import Table
from services.errors import Conflict, NotSignedIn
from services.records import Role, User
from services.settings import AuthMode, Settings
from services.store.api_keys import ApiKeyStore
from services.store.logins import LoginStore
from services.store.profiles import ProfileStore

KEY_NAME = "made by make run"


def make_people(resources: Resources, settings: Settings, credentials: Mapping[str, Any]) -> dict[str, Any]:
    """Creates both people's accounts with the passwords in `credentials` and a working API key for each.

    Returns `credentials` with `api_key` (an existing key that still works is kept) and, where people sign in from
    the studio's own list, `username`. boto3 finds the embedded cloud through this process's environment.
    """
    table = Table(make_clients(settings).dynamodb, settings.table)
    profiles = ProfileStore(table)
    accounts = Accounts(profiles, ApiKeyStore(table))
    local_users = LocalUsers(LoginStore(table), profiles, accounts)
    complete = dict(credentials)
    for role in Role:
        person = dict(credentials[role.value])
        if settings.auth_mode is AuthMode.LOCAL:
            person["username"] = role.value
            user = _local_user(local_users, role, person)
        else:
            person.pop("username", None)
            user = _cognito_user(accounts, resources, role, person)
        if not _key_works(accounts, person.get("api_key"), user):
            person["api_key"] = accounts.create_key(user, KEY_NAME).secret
        complete[role.value] = person
    return complete


def _cognito_user(accounts: Accounts, resources: Resources, role: Role, person: Mapping[str, str]) -> User:
    groups = (MAKERS, ADMINS) if role is Role.ADMIN else (MAKERS,)
    cognito = client_factory(resources.endpoint_url)("cognito-idp")
    for group in groups:
        sub = make_user(
            cognito,
            resources.sign_in.pool_id,
            email=person["email"],
            password=person["password"],
            group=group,
        )
    return accounts.sign_in(sub=sub, email=person["email"], groups=groups)


def _local_user(local_users: LocalUsers, role: Role, person: Mapping[str, str]) -> User:
    name, email, password = person["username"], person["email"], person["password"]
    try:
        local = local_users.add(name, email=email, name=name, password=password, role=role)
    except Conflict:
        # Created at an earlier start; keep a password that was changed since.
        local = local_users.all()[name]
    return local_users.sign_in(local)


def _key_works(accounts: Accounts, secret: str | None, user: User) -> bool:
    try:
        return secret is not None and accounts.by_api_key(secret).id == user.id
    except NotSignedIn:
        return False
