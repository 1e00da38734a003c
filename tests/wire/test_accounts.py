"""Tests of accounts, API keys and local users over the real table."""

from __future__ import annotations

import io
import time
from typing import Any
from uuid import UUID

import bcrypt
import pytest

from services.accounts.local_users import LocalUsers
from services.aws.user_pool import UserPool
from services.build import Studio
from services.commands import revoke_access, users
from services.errors import (
    Conflict,
    InvalidRequest,
    LimitReached,
    NotAllowed,
    NotFound,
    NotSignedIn,
    Unavailable,
)
from services.records import Role, User
from tests.studios import pool_user
from tests.wire.conftest import real_clients

SUB = "0f8fad5b-d9cb-469f-a165-70867728950e"
PASSWORD = "correct horse battery"


def test_signing_in_creates_a_profile_with_the_role_of_the_group(studio: Studio) -> None:
    user = studio.accounts.sign_in(sub=SUB, email="m@example.com", groups=("makers",))
    assert (user.id, user.role) == (SUB.replace("-", ""), Role.MAKER)
    admin = studio.accounts.sign_in(sub=SUB, email="m@example.com", groups=("admins",))
    assert studio.accounts.user(user.id) == admin
    assert admin.role is Role.ADMIN


def test_a_group_with_a_similar_name_grants_no_admin_role(studio: Studio) -> None:
    user = studio.accounts.sign_in(sub=SUB, email="m@example.com", groups=("Admins", "admin", "xadmins"))
    assert user.role is Role.MAKER


def test_signing_out_ends_every_copy_of_the_session_and_no_other_session(studio: Studio) -> None:
    def come(began_at: int) -> Role:
        return studio.accounts.sign_in(sub=SUB, email="m@example.com", groups=(), began_at=began_at).role

    come(1_700_000_000)
    user = studio.accounts.user(SUB.replace("-", ""))
    studio.accounts.end_session(user, 1_700_000_000)
    for _ in range(2):
        with pytest.raises(NotSignedIn):
            come(1_700_000_000)
    with pytest.raises(NotSignedIn):
        studio.accounts.user(user.id, began_at=1_700_000_000)
    assert come(1_700_000_777) is Role.MAKER
    assert studio.accounts.user(user.id, began_at=1_700_000_777) == user


@pytest.mark.parametrize("sub", ["", "x", "USER#1", SUB + "0", "../" + SUB])
def test_a_malformed_subject_is_refused(studio: Studio, sub: str) -> None:
    with pytest.raises(NotSignedIn):
        studio.accounts.sign_in(sub=sub, email="m@example.com", groups=())


def test_a_key_works_until_it_is_revoked_and_only_its_hash_is_stored(studio: Studio, cloud: Any) -> None:
    user = studio.accounts.sign_in(sub=pool_user(studio.settings), email="m@example.com", groups=())
    made = studio.accounts.create_key(user, " ci ")
    assert made.secret.startswith("atl_")
    assert made.key.name == "ci"
    assert studio.accounts.by_api_key(made.secret) == user
    assert studio.accounts.keys(user) == (made.key,)
    items = cloud.client("dynamodb").scan(TableName=studio.settings.table)["Items"]
    assert made.secret not in str(items)
    studio.accounts.revoke_key(user, made.key.id)
    for _ in range(2):
        with pytest.raises(NotSignedIn):
            studio.accounts.by_api_key(made.secret)
    with pytest.raises(NotFound):
        studio.accounts.revoke_key(user, made.key.id)


def test_another_users_key_cannot_be_revoked(studio: Studio) -> None:
    user = studio.accounts.sign_in(sub=pool_user(studio.settings), email="m@example.com", groups=())
    other = studio.accounts.sign_in(sub="1" * 32, email="o@example.com", groups=())
    made = studio.accounts.create_key(user, "ci")
    for bad in (made.key.id, "x", "", "../" + made.key.id):
        with pytest.raises(NotFound):
            studio.accounts.revoke_key(other, bad)
    assert studio.accounts.by_api_key(made.secret) == user


def test_a_demoted_admins_key_has_the_maker_role(studio: Studio) -> None:
    sub = pool_user(studio.settings, admin=True)
    admin = studio.accounts.sign_in(sub=sub, email="m@example.com", groups=("admins",))
    secret = studio.accounts.create_key(admin, "ci").secret
    studio.accounts.sign_in(sub=sub, email="m@example.com", groups=())
    assert studio.accounts.by_api_key(secret).role is Role.MAKER


@pytest.fixture
def admin(studio: Studio) -> User:
    """An admin of the pool."""
    sub = pool_user(studio.settings, admin=True)
    return studio.accounts.sign_in(sub=sub, email="m@example.com", groups=("admins",))


def sub_of(user: User) -> str:
    return str(UUID(user.id))


def address_in_pool(studio: Studio, user: User) -> str:
    found = real_clients(studio.settings).cognito.admin_get_user(
        UserPoolId=studio.settings.cognito_pool_id, Username=sub_of(user)
    )
    return next(str(one["Value"]) for one in found["UserAttributes"] if one["Name"] == "email")


def after_minutes(monkeypatch: pytest.MonkeyPatch, minutes: float) -> None:
    """Moves the clock ahead, so that this process's cached pool data gets old."""
    monotonic = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: monotonic() + 60 * minutes)


def test_a_key_is_refused_while_its_user_is_disabled(
    studio: Studio, admin: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = studio.accounts.create_key(admin, "ci").secret
    assert studio.accounts.by_api_key(secret) == admin
    cognito, pool_id = real_clients(studio.settings).cognito, studio.settings.cognito_pool_id
    cognito.admin_disable_user(UserPoolId=pool_id, Username=sub_of(admin))
    after_minutes(monkeypatch, 3)
    with pytest.raises(NotSignedIn) as refused:
        studio.accounts.by_api_key(secret)
    assert refused.value.code == "user_disabled"
    cognito.admin_enable_user(UserPoolId=pool_id, Username=sub_of(admin))
    after_minutes(monkeypatch, 3)
    assert studio.accounts.by_api_key(secret) == admin


def test_the_key_of_an_admin_who_left_the_group_has_the_maker_role(
    studio: Studio, admin: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = studio.accounts.create_key(admin, "ci").secret
    assert studio.accounts.by_api_key(secret).role is Role.ADMIN
    real_clients(studio.settings).cognito.admin_remove_user_from_group(
        UserPoolId=studio.settings.cognito_pool_id, Username=sub_of(admin), GroupName="admins"
    )
    after_minutes(monkeypatch, 3)
    assert studio.accounts.by_api_key(secret).role is Role.MAKER
    assert studio.accounts.user(admin.id).role is Role.MAKER


@pytest.mark.parametrize("by", ["use", "worker"])
def test_the_keys_of_a_deleted_user_are_revoked(
    studio: Studio, admin: User, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    secrets = [studio.accounts.create_key(admin, f"k{n}").secret for n in range(3)]
    studio.accounts.check_key_holders()
    assert len(studio.accounts.keys(admin)) == 3
    real_clients(studio.settings).cognito.admin_delete_user(
        UserPoolId=studio.settings.cognito_pool_id, Username=sub_of(admin)
    )
    after_minutes(monkeypatch, 3)
    if by == "worker":
        studio.accounts.check_key_holders()
    for secret in secrets:
        with pytest.raises(NotSignedIn):
            studio.accounts.by_api_key(secret)
    assert studio.accounts.keys(admin) == ()


def test_during_a_cognito_outage_its_last_answer_is_valid_for_fifteen_minutes(
    studio: Studio, admin: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = studio.accounts.create_key(admin, "ci").secret
    assert studio.accounts.by_api_key(secret) == admin
    asked = []

    def away(_: UserPool, user_id: str) -> None:
        asked.append(user_id)
        raise Unavailable("Cognito did not answer.")

    monkeypatch.setattr(UserPool, "find", away)
    after_minutes(monkeypatch, 10)
    assert studio.accounts.by_api_key(secret) == admin
    after_minutes(monkeypatch, 10)
    with pytest.raises(Unavailable):
        studio.accounts.by_api_key(secret)
    assert asked == [admin.id] * 2


@pytest.mark.parametrize("by_address", [False, True])
def test_a_command_revokes_all_keys_and_sessions_of_a_person(
    studio: Studio, admin: User, by_address: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    began_at = int(time.time()) - 5
    for n in range(2):
        studio.accounts.create_key(admin, f"k{n}")
    assert studio.accounts.user(admin.id, began_at=began_at) == admin
    name = address_in_pool(studio, admin) if by_address else sub_of(admin)
    assert revoke_access.main([name]) == 0
    assert "2 keys revoked" in capsys.readouterr().out
    assert studio.accounts.keys(admin) == ()
    with pytest.raises(NotSignedIn):
        studio.accounts.user(admin.id, began_at=began_at)
    assert studio.accounts.user(admin.id, began_at=began_at + 60) == admin


def test_the_command_reports_an_unknown_user(studio: Studio, capsys: pytest.CaptureFixture[str]) -> None:
    assert revoke_access.main(["nobody@example.com"]) == 2
    assert "no user nobody@example.com" in capsys.readouterr().err


def test_only_an_admin_can_revoke_the_access_of_others(studio: Studio, admin: User) -> None:
    maker = studio.accounts.sign_in(sub="1" * 32, email="o@example.com", groups=())
    studio.accounts.create_key(admin, "ci")
    with pytest.raises(NotAllowed):
        studio.leavers.revoke_as(maker, admin.id)
    assert studio.leavers.revoke_as(admin, admin.id) == 1


@pytest.mark.parametrize("secret", ["", "atl_", "atl_" + "x" * 32, "x" * 36, "atl_" + "é" * 32, "KEY#1"])
def test_a_guessed_key_is_refused(studio: Studio, secret: str) -> None:
    with pytest.raises(NotSignedIn):
        studio.accounts.by_api_key(secret)


@pytest.mark.parametrize("name", ["", "  ", "x" * 61, "a\nb", "a\x00"])
def test_a_key_needs_a_name(studio: Studio, name: str) -> None:
    user = studio.accounts.sign_in(sub=SUB, email="m@example.com", groups=())
    with pytest.raises(InvalidRequest):
        studio.accounts.create_key(user, name)


def test_a_user_has_at_most_twenty_keys(studio: Studio) -> None:
    user = studio.accounts.sign_in(sub=SUB, email="m@example.com", groups=())
    for n in range(20):
        studio.accounts.create_key(user, f"k{n}")
    with pytest.raises(LimitReached):
        studio.accounts.create_key(user, "one more")


def run(monkeypatch: pytest.MonkeyPatch, *words: str, password: str = PASSWORD) -> int:
    monkeypatch.setattr("sys.stdin", io.StringIO(password + "\n"))
    return users.main(words)


def test_a_command_manages_local_users(
    local_users: LocalUsers, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "add", "ada", "--email", "ada@example.com", "--name", "Ada") == 0
    [ada] = local_users.all().values()
    assert (ada.username, ada.role, len(ada.user_id)) == ("ada", Role.MAKER, 32)
    assert bcrypt.checkpw(PASSWORD.encode(), ada.password_hash.encode())
    assert run(monkeypatch, "role", "ada", "admin") == 0
    assert run(monkeypatch, "password", "ada", password="another long one") == 0
    changed = local_users.all()["ada"]
    assert changed.role is Role.ADMIN
    assert bcrypt.checkpw(b"another long one", changed.password_hash.encode())
    assert run(monkeypatch, "list") == 0
    assert "ada@example.com" in capsys.readouterr().out
    assert run(monkeypatch, "remove", "ada") == 0
    assert local_users.all() == {}
    assert run(monkeypatch, "remove", "ada") == 2


@pytest.mark.parametrize("password", ["", "short", "x" * 73, "ü" * 37])
def test_a_too_short_or_too_long_password_is_refused(
    local_users: LocalUsers,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    password: str,
) -> None:
    assert run(monkeypatch, "add", "ada", "--email", "ada@example.com", password=password) == 2
    assert "password" in capsys.readouterr().err.lower()
    assert local_users.all() == {}


def test_a_username_is_unique(local_users: LocalUsers) -> None:
    local_users.add("ada", email="ada@example.com", name="", password=PASSWORD, role=Role.MAKER)
    with pytest.raises(Conflict):
        local_users.add("ada", email="eve@example.com", name="", password=PASSWORD, role=Role.ADMIN)
    assert local_users.all()["ada"].role is Role.MAKER


@pytest.mark.parametrize("name", ["", "Ada", "a b", "../x", "-x", "x" * 41, "LOGIN#x"])
def test_an_invalid_username_is_refused(local_users: LocalUsers, name: str) -> None:
    with pytest.raises(InvalidRequest):
        local_users.add(name, email="a@example.com", name="", password=PASSWORD, role=Role.MAKER)
