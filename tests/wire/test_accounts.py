"""People, keys and logins over the real table."""

from __future__ import annotations

import io
from typing import Any

import bcrypt
import pytest

from services.accounts.local_users import LocalUsers
from services.build import Studio
from services.commands import users
from services.errors import Conflict, InvalidRequest, LimitReached, NotFound, NotSignedIn
from services.records import Role

SUB = "0f8fad5b-d9cb-469f-a165-70867728950e"
PASSWORD = "correct horse battery"


def test_signing_in_makes_a_profile_with_the_role_of_the_group(studio: Studio) -> None:
    user = studio.accounts.sign_in(sub=SUB, email="m@example.com", groups=("makers",))
    assert (user.id, user.role) == (SUB.replace("-", ""), Role.MAKER)
    admin = studio.accounts.sign_in(sub=SUB, email="m@example.com", groups=("admins",))
    assert studio.accounts.user(user.id) == admin
    assert admin.role is Role.ADMIN


def test_a_group_with_a_similar_name_is_no_admin(studio: Studio) -> None:
    user = studio.accounts.sign_in(sub=SUB, email="m@example.com", groups=("Admins", "admin", "xadmins"))
    assert user.role is Role.MAKER


def test_a_signed_out_session_is_over_for_every_copy_of_it_and_no_other(studio: Studio) -> None:
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
def test_a_strange_subject_is_nobody(studio: Studio, sub: str) -> None:
    with pytest.raises(NotSignedIn):
        studio.accounts.sign_in(sub=sub, email="m@example.com", groups=())


def test_a_key_lets_in_until_it_is_revoked_and_only_its_hash_is_kept(studio: Studio, cloud: Any) -> None:
    user = studio.accounts.sign_in(sub=SUB, email="m@example.com", groups=())
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


def test_nobody_revokes_anothers_key(studio: Studio) -> None:
    user = studio.accounts.sign_in(sub=SUB, email="m@example.com", groups=())
    other = studio.accounts.sign_in(sub="1" * 32, email="o@example.com", groups=())
    made = studio.accounts.create_key(user, "ci")
    for bad in (made.key.id, "x", "", "../" + made.key.id):
        with pytest.raises(NotFound):
            studio.accounts.revoke_key(other, bad)
    assert studio.accounts.by_api_key(made.secret) == user


def test_a_demoted_admins_key_is_a_makers(studio: Studio) -> None:
    admin = studio.accounts.sign_in(sub=SUB, email="m@example.com", groups=("admins",))
    secret = studio.accounts.create_key(admin, "ci").secret
    studio.accounts.sign_in(sub=SUB, email="m@example.com", groups=())
    assert studio.accounts.by_api_key(secret).role is Role.MAKER


@pytest.mark.parametrize("secret", ["", "atl_", "atl_" + "x" * 32, "x" * 36, "atl_" + "é" * 32, "KEY#1"])
def test_a_guessed_key_is_nobody(studio: Studio, secret: str) -> None:
    with pytest.raises(NotSignedIn):
        studio.accounts.by_api_key(secret)


@pytest.mark.parametrize("name", ["", "  ", "x" * 61, "a\nb", "a\x00"])
def test_a_key_needs_a_name(studio: Studio, name: str) -> None:
    user = studio.accounts.sign_in(sub=SUB, email="m@example.com", groups=())
    with pytest.raises(InvalidRequest):
        studio.accounts.create_key(user, name)


def test_twenty_keys_are_the_most(studio: Studio) -> None:
    user = studio.accounts.sign_in(sub=SUB, email="m@example.com", groups=())
    for n in range(20):
        studio.accounts.create_key(user, f"k{n}")
    with pytest.raises(LimitReached):
        studio.accounts.create_key(user, "one more")


def run(monkeypatch: pytest.MonkeyPatch, *words: str, password: str = PASSWORD) -> int:
    monkeypatch.setattr("sys.stdin", io.StringIO(password + "\n"))
    return users.main(words)


def test_local_users_are_kept_by_a_command(
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
def test_a_weak_or_endless_password_is_refused(
    local_users: LocalUsers,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    password: str,
) -> None:
    assert run(monkeypatch, "add", "ada", "--email", "ada@example.com", password=password) == 2
    assert "password" in capsys.readouterr().err.lower()
    assert local_users.all() == {}


def test_a_name_is_given_once(local_users: LocalUsers) -> None:
    local_users.add("ada", email="ada@example.com", name="", password=PASSWORD, role=Role.MAKER)
    with pytest.raises(Conflict):
        local_users.add("ada", email="eve@example.com", name="", password=PASSWORD, role=Role.ADMIN)
    assert local_users.all()["ada"].role is Role.MAKER


@pytest.mark.parametrize("name", ["", "Ada", "a b", "../x", "-x", "x" * 41, "LOGIN#x"])
def test_a_strange_username_is_refused(local_users: LocalUsers, name: str) -> None:
    with pytest.raises(InvalidRequest):
        local_users.add(name, email="a@example.com", name="", password=PASSWORD, role=Role.MAKER)
