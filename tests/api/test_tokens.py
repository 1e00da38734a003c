"""Tests that genuine tokens and keys are accepted, and that every forgery gets the same 401 and writes nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.api import tokens
from services.aws.user_pool import PoolUser, UserPool
from services.build import Studio
from services.records import Role
from services.settings import AuthMode
from tests.api.conftest import Person, Served
from tests.api.forger import KID, Forger, KeyServer
from tests.api.traffic import Traffic

Attempt = Callable[[Forger], str]
S = "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa"
ELSEWHERE = "http://127.0.0.1:9/evil.json"
FORGERIES: dict[str, Attempt] = {
    "alg none": lambda f: f.unsigned(S),
    "alg None": lambda f: f.unsigned(S, "None"),
    "alg empty": lambda f: f.unsigned(S, ""),
    "HS256 with the public key": lambda f: f.by_public_key(S),
    "signed by another key under our key id": lambda f: f.by_other_key(S),
    "an unknown key id": lambda f: f.token(S, header={"kid": "key-2"}),
    "a key id that is a path": lambda f: f.token(S, header={"kid": "../../dev/null"}),
    "an empty key id": lambda f: f.token(S, header={"kid": ""}),
    "its own key in the header": lambda f: f.by_other_key(S, header={"jwk": f.jwk(other=True)}),
    "a link to its own keys": lambda f: f.by_other_key(S, header={"jku": ELSEWHERE}),
    "a link to its own certificate": lambda f: f.by_other_key(S, header={"x5u": ELSEWHERE}),
    "its own certificate": lambda f: f.by_other_key(S, header={"x5c": ["MIIB"]}),
    "a genuine one with a foreign jku": lambda f: f.token(S, header={"jku": ELSEWHERE}),
    "a genuine one with a foreign jwk": lambda f: f.token(S, header={"jwk": f.jwk(other=True)}),
    "an unknown critical extension": lambda f: f.token(S, header={"crit": ["exp2"], "exp2": 1}),
    "a critical extension that libraries know": lambda f: f.token(S, header={"crit": ["b64"], "b64": True}),
    "the wrong type of document": lambda f: f.token(S, header={"typ": "logout+jwt"}),
    "another issuer": lambda f: f.token(S, iss="https://cognito-idp.eu-central-1.amazonaws.com/other"),
    "no issuer": lambda f: f.token(S, iss=None),
    "another client": lambda f: f.token(S, client_id="other"),
    "our client as audience only": lambda f: f.token(S, client_id=None, aud="client-of-the-studio"),
    "an id token": lambda f: f.token(S, token_use="id", client_id=None, aud="client-of-the-studio"),
    "an id token with a client": lambda f: f.token(S, token_use="id"),
    "no use": lambda f: f.token(S, token_use=None),
    "expired": lambda f: f.token(S, exp=int(time.time()) - 60),
    "no expiry": lambda f: f.token(S, exp=None),
    "an expiry that is no number": lambda f: f.token(S, exp="tomorrow"),
    "not yet valid": lambda f: f.token(S, nbf=int(time.time()) + 600),
    "issued in the future": lambda f: f.token(S, iat=int(time.time()) + 600),
    "no subject": lambda f: f.token(S, sub=None),
    "a subject that is no user id": lambda f: f.token("../admin"),
    "groups that are a text": lambda f: f.token(S, cognito__groups="admins"),
    "a bit turned in the header": lambda f: f.bit_flipped(S, 0),
    "a bit turned in the claims": lambda f: f.bit_flipped(S, 1),
    "a bit turned in the signature": lambda f: f.bit_flipped(S, 2),
    "no signature": lambda f: f.token(S).rsplit(".", 1)[0] + ".",
    "two parts": lambda f: f.token(S).rsplit(".", 1)[0],
    "not a token": lambda f: "hello",
    "only dots": lambda f: "..",
    "very long": lambda f: f.token(S, more="x" * 20_000),
    "a user that does not exist": lambda f: f.token("dddddddd-dddd-dddd-dddd-dddddddddddd"),
}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture(autouse=True)
def pool_of_admins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes every sub an enabled admin of the pool; the tests vary the token and the profile."""
    monkeypatch.setattr(UserPool, "find", lambda _, user_id: PoolUser(user_id, True, ("admins",)))


@pytest.fixture
def alice(studio: Studio) -> Person:
    """The user named by the forgeries, which would be valid for her without their flaw."""
    user = studio.accounts.sign_in(sub=S, email="a@example.com", groups=(), name="A")
    for key in studio.accounts.keys(user):
        studio.accounts.revoke_key(user, key.id)
    return Person(user, studio.accounts.create_key(user, "test").secret)


@pytest.mark.parametrize("attempt", FORGERIES.values(), ids=FORGERIES.keys())
def test_a_forged_expired_or_wrong_token_is_refused_and_writes_nothing(
    client: TestClient,
    alice: Person,
    traffic: Traffic,
    cognito: KeyServer,
    forger: Forger,
    attempt: Attempt,
) -> None:
    token = attempt(forger)
    answers = [
        client.get("/v1/me", headers=bearer(token)),
        client.post("/v1/jobs", json={"prompt": "a red apple"}, headers=bearer(token)),
    ]
    for answer in answers:
        assert answer.status_code == 401, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["www-authenticate"] == 'Bearer realm="atelier", error="invalid_token"'
        assert token not in answer.text
    # Reads at most the profile that a token names and the end of its session.
    assert set(traffic.calls) <= {"dynamodb.GetItem"} and len(traffic.calls) <= 2 * len(answers)


def test_all_forgeries_are_refused_with_the_same_message(
    client: TestClient, alice: Person, cognito: KeyServer, forger: Forger
) -> None:
    kinds = ("alg none", "another issuer", "expired", "a bit turned in the signature", "not a token")
    details = {
        client.get("/v1/me", headers=bearer(FORGERIES[kind](forger))).json()["detail"] for kind in kinds
    }
    assert len(details) == 1


def test_a_genuine_token_identifies_its_user(
    client: TestClient, alice: Person, cognito: KeyServer, forger: Forger
) -> None:
    answer = client.get("/v1/me", headers=bearer(forger.token(S)))
    assert answer.status_code == 200
    assert answer.json()["id"] == "a" * 32


def test_a_token_of_a_session_that_was_signed_out_is_refused(
    client: TestClient, studio: Studio, alice: Person, cognito: KeyServer, forger: Forger
) -> None:
    began_at = int(time.time()) - 600
    token = bearer(forger.token(S, auth_time=began_at))
    assert client.get("/v1/me", headers=token).status_code == 200
    studio.accounts.end_session(alice.user, began_at)
    assert client.get("/v1/me", headers=token).status_code == 401


@pytest.mark.parametrize(
    ("profile", "groups", "role"),
    [
        (Role.ADMIN, ["admins"], "admin"),
        (Role.ADMIN, [], "maker"),
        (Role.ADMIN, None, "maker"),
        (Role.MAKER, ["admins"], "maker"),
        (Role.ADMIN, ["makers", "admins"], "admin"),
        (Role.ADMIN, ["Admins"], "maker"),
    ],
)
def test_a_token_has_the_lesser_of_its_groups_and_the_profiles_role(
    client: TestClient,
    studio: Studio,
    cognito: KeyServer,
    forger: Forger,
    profile: Role,
    groups: list[str] | None,
    role: str,
) -> None:
    given = ("admins",) if profile is Role.ADMIN else ()
    studio.accounts.sign_in(sub=S, email="a@example.com", groups=given, name="A")
    token = forger.token(S, cognito__groups=groups)
    assert client.get("/v1/me", headers=bearer(token)).json()["role"] == role


def test_unknown_key_ids_do_not_cause_repeated_fetches_of_the_keys(
    client: TestClient, alice: Person, cognito: KeyServer, forger: Forger
) -> None:
    for n in range(20):
        client.get("/v1/me", headers=bearer(forger.token(S, header={"kid": f"made-up-{n}"})))
    assert cognito.fetches == 1
    assert client.get("/v1/me", headers=bearer(forger.token(S))).status_code == 200
    assert cognito.fetches == 1


def test_a_new_signing_key_is_found_after_the_cooldown(
    client: TestClient,
    alice: Person,
    cognito: KeyServer,
    forger: Forger,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tokens, "UNKNOWN_KEY_COOLDOWN_S", 0)
    assert client.get("/v1/me", headers=bearer(forger.token(S))).status_code == 200
    cognito.document = {"keys": [forger.jwk(KID), forger.jwk("key-2")]}
    rotated = bearer(forger.token(S, header={"kid": "key-2"}))
    assert client.get("/v1/me", headers=rotated).status_code == 200
    assert cognito.fetches == 2


@pytest.mark.parametrize(
    "broken",
    [(500, b"{}"), (200, b"<html>"), (200, b"[]"), (200, b'{"keys": []}'), (302, b"")],
    ids=repr,
)
def test_unreadable_signing_keys_cause_503_and_a_single_fetch(
    client: TestClient,
    alice: Person,
    cognito: KeyServer,
    forger: Forger,
    broken: tuple[int, bytes],
) -> None:
    cognito.broken = lambda: broken
    answers = [client.get("/v1/me", headers=bearer(forger.token(S))) for _ in range(5)]
    assert {answer.status_code for answer in answers} == {503}
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in answers)
    assert cognito.fetches == 1


def test_signing_keys_are_used_again_after_a_failed_fetch(
    client: TestClient,
    alice: Person,
    cognito: KeyServer,
    forger: Forger,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tokens, "FAILED_FETCH_COOLDOWN_S", 0)
    cognito.broken = lambda: (500, b"")
    assert client.get("/v1/me", headers=bearer(forger.token(S))).status_code == 503
    cognito.broken = None
    assert client.get("/v1/me", headers=bearer(forger.token(S))).status_code == 200


def test_a_key_works_in_either_header(client: TestClient, alice: Person) -> None:
    for headers in (alice.auth, {"X-Api-Key": alice.key}, {"Authorization": f"bearer  {alice.key}"}):
        assert client.get("/v1/me", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Basic YTpi"},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer atl_" + "z" * 40},
        {"Authorization": "Bearer atl_"},
        {"Authorization": "Bearer atl_" + "x" * 5000},
        {"X-Api-Key": ""},
        {"X-Api-Key": "z" * 40},
        {"X-Api-Key": "atl_../../" + "a" * 40},
        {"Cookie": "_streamlit_user=signed-in"},
    ],
    ids=lambda headers: str(headers)[:50],
)
def test_a_missing_or_wrong_key_or_a_cookie_is_refused(
    client: TestClient, alice: Person, traffic: Traffic, headers: dict[str, str]
) -> None:
    answer = client.post("/v1/jobs", json={"prompt": "a red apple"}, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert traffic.writes == []


def test_a_request_is_refused_before_its_body_is_parsed(client: TestClient) -> None:
    assert client.post("/v1/jobs", content=b"not json").status_code == 401


def test_a_request_with_two_credentials_is_refused(client: TestClient, alice: Person, bob: Person) -> None:
    both: list[Any] = [
        [*alice.auth.items(), ("X-Api-Key", bob.key)],
        [*alice.auth.items(), *bob.auth.items()],
        [("X-Api-Key", alice.key), ("X-Api-Key", bob.key)],
    ]
    for headers in both:
        answer = client.get("/v1/me", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (400, "ambiguous_credentials")


def test_tokens_are_refused_without_cognito_sign_in(
    client: TestClient, served: Served, alice: Person, cognito: KeyServer, forger: Forger
) -> None:
    token = bearer(forger.token(S))
    assert client.get("/v1/me", headers=token).status_code == 200
    settings = served.studio.settings.model_copy(update={"auth_mode": AuthMode.LOCAL})
    served.studio = replace(served.studio, settings=settings)
    assert client.get("/v1/me", headers=token).status_code == 401


def test_a_revoked_key_stops_working_at_once(client: TestClient, studio: Studio, alice: Person) -> None:
    assert client.get("/v1/me", headers=alice.auth).status_code == 200
    (key,) = studio.accounts.keys(alice.user)
    studio.accounts.revoke_key(alice.user, key.id)
    assert client.get("/v1/me", headers=alice.auth).status_code == 401
