"""Tests of the API as programs use it, from a job to its stored pictures, and with Cognito's tokens."""

from __future__ import annotations

import base64
import hashlib
import hmac
import io
import secrets
import threading
import time
from dataclasses import dataclass
from typing import Any
from urllib.request import urlopen

import pytest
from fastapi.testclient import TestClient
from PIL import Image as Pillow

from local.signin import ADMINS, MAKERS, make_user, new_password
from services.build import Studio
from services.formats.png_metadata import read
from tests.api.conftest import Finish, Person
from tests.api.test_isolation import BAD_IDS, ROWS, UNKNOWN_JOB, as_unknown, call
from tests.api.test_jobs import make
from tests.cloud import EmbeddedCloud
from tests.cloud import Person as CognitoPerson

pytestmark = pytest.mark.wire


@dataclass(frozen=True)
class Cognito:
    """The embedded cloud's user pool, which the studio trusts."""

    studio: Studio
    cloud: EmbeddedCloud

    def make_person(self, *, admin: bool = False) -> CognitoPerson:
        """Creates a user with a password who has never signed in to the studio."""
        email, password = f"{secrets.token_hex(8)}@example.com", new_password()
        group = ADMINS if admin else MAKERS
        cognito, pool = self.cloud.client("cognito-idp"), self.studio.settings.cognito_pool_id
        sub = make_user(cognito, pool, email=email, password=password, group=group)
        return CognitoPerson(email, password, group, sub)

    def join(self, *, admin: bool = False) -> CognitoPerson:
        """Creates a user with a password who has signed in once in the browser."""
        person = self.make_person(admin=admin)
        groups = ("admins",) if admin else ()
        self.studio.accounts.sign_in(sub=person.sub, email=person.email, groups=groups, name="chris")
        return person

    def sign_in(self, person: CognitoPerson) -> dict[str, Any]:
        """Signs in and returns the tokens that Cognito issues to the studio's client."""
        settings = self.studio.settings
        secret = settings.cognito_client_secret.get_secret_value()
        proof = hmac.new(
            secret.encode(), (person.email + settings.cognito_client_id).encode(), hashlib.sha256
        ).digest()
        answer = self.cloud.client("cognito-idp").initiate_auth(
            ClientId=settings.cognito_client_id,
            AuthFlow="USER_PASSWORD_AUTH",
            AuthParameters={
                "USERNAME": person.email,
                "PASSWORD": person.password,
                "SECRET_HASH": base64.b64encode(proof).decode(),
            },
        )
        issued: dict[str, Any] = answer["AuthenticationResult"]
        return issued

    def table(self) -> list[Any]:
        """Returns all items of the table, to check whether anything was written."""
        items = self.cloud.client("dynamodb").scan(TableName=self.studio.settings.table)["Items"]
        return sorted(items, key=str)


@pytest.fixture
def pool(studio: Studio, cloud_process: EmbeddedCloud) -> Cognito:
    return Cognito(studio, cloud_process)


def test_a_job_becomes_pictures_that_can_be_fetched_and_deleted(
    client: TestClient, finish: Finish, alice: Person
) -> None:
    auth = alice.auth
    job = make(client, alice, seed=7, count=2)
    finish(job["id"])
    done = client.get(f"/v1/jobs/{job['id']}", headers=auth).json()
    assert (done["status"], done["error"]) == ("succeeded", None)
    assert [image["seed"] for image in done["output"]] == [7, 8]
    assert done["metrics"]["cost_usd"] > 0
    assert done["metrics"]["gpu_s"] == 1.0
    listed = client.get("/v1/images", headers=auth).json()["data"]
    assert [image["id"] for image in listed] == [f"{job['id']}-1", f"{job['id']}-0"]
    assert client.delete(f"/v1/images/{job['id']}-0", headers=auth).status_code == 204
    assert client.get(f"/v1/images/{job['id']}-0", headers=auth).status_code == 404
    left = client.get(f"/v1/jobs/{job['id']}", headers=auth).json()["output"]
    assert [image["id"] for image in left] == [f"{job['id']}-1"]


def test_pages_continue_by_cursor_and_an_invalid_cursor_is_refused(client: TestClient, alice: Person) -> None:
    auth = alice.auth
    made = [make(client, alice)["id"] for _ in range(3)]
    first = client.get("/v1/jobs?limit=2", headers=auth).json()
    rest = client.get("/v1/jobs", params={"after": first["next"]}, headers=auth).json()
    assert first["has_more"]
    assert (rest["has_more"], rest["next"]) == (False, None)
    listed = [job["id"] for job in first["data"] + rest["data"]]
    assert listed == sorted(made, reverse=True)
    for cursor in ("made-up", "", "eyJQSyI6ICJ4In0", "../.."):
        answer = client.get("/v1/jobs", params={"after": cursor}, headers=auth)
        assert (answer.status_code, answer.json()["param"]) == (422, "after")


def test_an_open_job_can_be_canceled_and_a_finished_one_cannot(
    client: TestClient, finish: Finish, alice: Person
) -> None:
    auth = alice.auth
    open_job, done = (make(client, alice)["id"] for _ in range(2))
    answers = [client.post(f"/v1/jobs/{open_job}/cancel", headers=auth) for _ in range(2)]
    assert [(answer.status_code, answer.json()["status"]) for answer in answers] == [(200, "canceled")] * 2
    assert answers[0].json()["metrics"]["cost_usd"] == 0
    finish(done)
    answer = client.post(f"/v1/jobs/{done}/cancel", headers=auth)
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")


def test_an_idempotency_key_identifies_one_job_of_one_user(
    client: TestClient, alice: Person, bob: Person
) -> None:
    def post(person: Person, prompt: str) -> Any:
        headers = {**person.auth, "Idempotency-Key": "order-66"}
        return client.post("/v1/jobs", json={"prompt": prompt}, headers=headers)

    first, again = post(alice, "a rocket"), post(alice, "a rocket")
    assert first.json()["id"] == again.json()["id"]
    other = post(alice, "a boat")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")
    assert post(bob, "a rocket").json()["id"] != first.json()["id"]


def test_other_users_malformed_and_guessed_ids_all_look_unknown(
    client: TestClient, finish: Finish, alice: Person, bob: Person
) -> None:
    job_id = make(client, alice)["id"]
    finish(job_id)
    for name, row in ROWS.items():
        if not row.ids:
            continue
        suffix = "" if row.ids == "job" else "-0"
        unknown = as_unknown(call(client, row, UNKNOWN_JOB + suffix, bob.auth))
        assert unknown[0] == 404
        for id in [job_id + suffix, *BAD_IDS]:
            if id != UNKNOWN_JOB + suffix:
                assert as_unknown(call(client, row, id, bob.auth)) == unknown, (name, id)
    assert client.get(f"/v1/images/{job_id}-0", headers=alice.auth).status_code == 200


def test_filtering_by_another_users_or_a_malformed_job_id_returns_an_empty_list(
    client: TestClient, finish: Finish, alice: Person, bob: Person
) -> None:
    job_id = make(client, alice)["id"]
    finish(job_id)
    for id in (job_id, UNKNOWN_JOB, "nonsense", "#"):
        answer = client.get("/v1/images", params={"job": id}, headers=bob.auth)
        assert (answer.status_code, answer.json()["data"]) == (200, [])


def test_usage_is_the_callers_own(client: TestClient, alice: Person, bob: Person) -> None:
    make(client, alice, count=3)
    usage = [client.get("/v1/usage", headers=p.auth).json() for p in (alice, bob)]
    assert [(one["images_today"], one["open_jobs"]) for one in usage] == [(3, 1), (0, 0)]


def test_models_and_me_are_returned(client: TestClient, alice: Person, bob: Person) -> None:
    models = client.get("/v1/models", headers=alice.auth).json()["data"]
    assert [model["id"] for model in models] == ["pocket"]
    assert client.get("/v1/me", headers=bob.auth).json()["email"] == "b@example.com"


def test_the_links_return_the_stored_picture_with_its_parameters(
    client: TestClient, finish: Finish, alice: Person
) -> None:
    job = make(client, alice, seed=7)
    finish(job["id"])
    image = client.get(f"/v1/images/{job['id']}-0", headers=alice.auth).json()
    with urlopen(image["url"], timeout=10) as answer:
        png = answer.read()
    assert hashlib.sha256(png).hexdigest() == image["sha256"]
    assert len(png) == image["size_bytes"]
    parameters = read(png).parameters
    assert parameters is not None
    assert (parameters.prompt, parameters.seed) == ("a red apple", 7)
    with urlopen(image["thumbnail_url"], timeout=10) as answer:
        assert Pillow.open(io.BytesIO(answer.read())).format == "WEBP"
    download = client.get(f"/v1/images/{job['id']}-0/download", headers=alice.auth)
    with urlopen(download.headers["location"], timeout=10) as answer:
        assert answer.headers["Content-Disposition"].startswith("attachment")
        assert answer.read() == png


def test_a_waiting_request_returns_when_the_worker_finishes_the_job(
    client: TestClient, finish: Finish, alice: Person
) -> None:
    answers: list[Any] = []

    def ask() -> None:
        headers = {**alice.auth, "Prefer": "wait=20"}
        answers.append(client.post("/v1/jobs", json={"prompt": "a rocket"}, headers=headers))

    thread = threading.Thread(target=ask)
    thread.start()
    job_id = ""
    for _ in range(200):
        page = client.get("/v1/jobs", headers=alice.auth).json()
        if page["data"]:
            job_id = page["data"][0]["id"]
            break
        time.sleep(0.05)
    finish(job_id)
    thread.join(timeout=20)
    (answer,) = answers
    assert answer.headers["preference-applied"] == "wait=20"
    assert (answer.json()["id"], answer.json()["status"]) == (job_id, "succeeded")
    assert len(answer.json()["output"]) == 1


def test_cognitos_access_token_is_accepted_and_its_id_token_refused(
    client: TestClient, pool: Cognito
) -> None:
    person = pool.join(admin=True)
    tokens = pool.sign_in(person)
    before = pool.table()
    mine = client.get("/v1/me", headers={"Authorization": f"Bearer {tokens['AccessToken']}"})
    assert mine.status_code == 200
    assert (mine.json()["id"], mine.json()["role"]) == (person.user_id, "admin")
    refused = client.post(
        "/v1/jobs",
        json={"prompt": "a rocket"},
        headers={"Authorization": f"Bearer {tokens['IdToken']}"},
    )
    assert (refused.status_code, refused.json()["code"]) == (401, "invalid_token")
    assert pool.table() == before


def test_a_token_of_a_person_who_never_signed_in_creates_no_account(
    client: TestClient, pool: Cognito
) -> None:
    person = pool.make_person()
    tokens = pool.sign_in(person)
    before = pool.table()
    answer = client.post(
        "/v1/jobs",
        json={"prompt": "a rocket"},
        headers={"Authorization": f"Bearer {tokens['AccessToken']}"},
    )
    assert (answer.status_code, answer.json()["code"]) == (401, "unknown_user")
    assert pool.table() == before


def test_a_demoted_admins_old_token_has_the_maker_role(
    client: TestClient, studio: Studio, pool: Cognito
) -> None:
    person = pool.join(admin=True)
    auth = {"Authorization": f"Bearer {pool.sign_in(person)['AccessToken']}"}
    assert client.get("/v1/me", headers=auth).json()["role"] == "admin"
    studio.accounts.sign_in(sub=person.sub, email=person.email, groups=(), name="chris")
    assert client.get("/v1/me", headers=auth).json()["role"] == "maker"


def test_a_revoked_key_is_refused_from_then_on(
    client: TestClient, studio: Studio, alice: Person, pool: Cognito
) -> None:
    user, accounts = alice.user, studio.accounts
    assert client.get("/v1/me", headers=alice.auth).status_code == 200
    (key,) = accounts.keys(user)
    accounts.revoke_key(user, key.id)
    before = pool.table()
    answer = client.post("/v1/jobs", json={"prompt": "a"}, headers=alice.auth)
    assert answer.status_code == 401
    assert pool.table() == before
