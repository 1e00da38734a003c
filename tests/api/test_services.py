"""The API over the real services on the embedded cloud; what the studio in memory must also do, it does here too."""

from __future__ import annotations

import base64
import hashlib
import hmac
import io
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any
from urllib.request import urlopen

import pytest
from fastapi.testclient import TestClient
from PIL import Image as Pillow

from local.resources import Resources
from services.aws.session import Clients, make_clients
from services.build import Studio, build
from services.formats.png_metadata import read
from services.settings import load_settings
from services.worker import Worker
from tests.api.conftest import Person, mounted
from tests.api.fake_studio import PUBLIC_URL, FakeStudio
from tests.api.test_isolation import BAD_IDS, ROWS, UNKNOWN_JOB, as_unknown, call
from tests.api.test_jobs import make
from tests.cloud import EmbeddedCloud
from tests.cloud import Person as CognitoPerson
from tests.endpoint import ScriptedEndpoint

pytestmark = pytest.mark.wire


# Making them is most of what a fresh studio costs; they hold the cloud's address and nothing of a test.
_clients_at: dict[str, Clients] = {}


@dataclass(frozen=True)
class World:
    """An API with two makers, and how a test ends a job in it."""

    client: TestClient
    alice: Person
    bob: Person
    finish: Callable[[str], None]


@dataclass(frozen=True)
class RealWorld(World):
    """The one over the embedded cloud, with the parts behind it."""

    studio: Studio
    cloud: EmbeddedCloud
    resources: Resources

    def snapshot(self) -> list[Any]:
        """All items of the table, to see whether anything was written."""
        items = self.cloud.client("dynamodb").scan(TableName=self.studio.settings.table)["Items"]
        return sorted(items, key=str)

    def join(self, name: str, *, admin: bool = False) -> CognitoPerson:
        """Somebody with a password at the embedded Cognito who has signed in once in the browser."""
        person = self.cloud.make_person(self.resources, name, admin=admin)
        self.studio.accounts.sign_in(
            sub=person.sub, email=person.email, groups=("admins",) if admin else (), name=name
        )
        return person

    def tokens(self, flow: str, **parameters: str) -> dict[str, Any]:
        """Tokens as Cognito issues them to the studio's client."""
        settings = self.studio.settings
        secret = settings.cognito_client_secret.get_secret_value()
        name = parameters.pop("proof_of")
        proof = hmac.new(
            secret.encode(), (name + settings.cognito_client_id).encode(), hashlib.sha256
        ).digest()
        answer = self.cloud.client("cognito-idp").initiate_auth(
            ClientId=settings.cognito_client_id,
            AuthFlow=flow,
            AuthParameters={**parameters, "SECRET_HASH": base64.b64encode(proof).decode()},
        )
        issued: dict[str, Any] = answer["AuthenticationResult"]
        return issued

    def sign_in(self, person: CognitoPerson) -> dict[str, Any]:
        """The tokens of a fresh sign-in."""
        return self.tokens(
            "USER_PASSWORD_AUTH",
            USERNAME=person.email,
            PASSWORD=person.password,
            proof_of=person.email,
        )


@pytest.fixture
def memory(studio: FakeStudio, client: TestClient, alice: Person, bob: Person) -> World:
    return World(client, alice, bob, studio.finish)


@pytest.fixture
def real(
    cloud: EmbeddedCloud,
    resources: Resources,
    environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[RealWorld]:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    settings = load_settings()
    if cloud.url not in _clients_at:
        _clients_at[cloud.url] = make_clients(settings)
    clients = _clients_at[cloud.url]
    endpoint = ScriptedEndpoint(clients.s3, settings.outputs_bucket)
    studio = build(settings, replace(clients, sagemaker=endpoint, sagemaker_runtime=endpoint))
    worker = Worker(studio, studio.results_queue, studio.metrics)

    def person(letter: str) -> Person:
        user = studio.accounts.sign_in(
            sub=letter * 32, email=f"{letter}@example.com", groups=(), name=letter.upper()
        )
        return Person(user, studio.accounts.create_key(user, "test").secret)

    def finish(job_id: str) -> None:
        (invocation,) = (taken for taken in endpoint.accepted if job_id in taken.inference_id)
        worker.handle(endpoint.complete(invocation))

    with TestClient(mounted(studio), base_url=PUBLIC_URL, follow_redirects=False) as client:
        yield RealWorld(client, person("a"), person("b"), finish, studio, cloud, resources)
    studio.close()


@pytest.fixture(params=["memory", "real"])
def world(request: pytest.FixtureRequest) -> World:
    found: World = request.getfixturevalue(request.param)
    return found


def test_a_job_becomes_pictures_that_can_be_fetched_and_deleted(world: World) -> None:
    client, auth = world.client, world.alice.auth
    job = make(client, world.alice, seed=7, count=2)
    world.finish(job["id"])
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


def test_pages_follow_each_other_and_a_made_up_cursor_is_refused(world: World) -> None:
    client, auth = world.client, world.alice.auth
    made = [make(client, world.alice)["id"] for _ in range(3)]
    first = client.get("/v1/jobs?limit=2", headers=auth).json()
    rest = client.get("/v1/jobs", params={"after": first["next"]}, headers=auth).json()
    assert first["has_more"]
    assert (rest["has_more"], rest["next"]) == (False, None)
    listed = [job["id"] for job in first["data"] + rest["data"]]
    assert listed == sorted(made, reverse=True)
    for cursor in ("made-up", "", "eyJQSyI6ICJ4In0", "../.."):
        answer = client.get("/v1/jobs", params={"after": cursor}, headers=auth)
        assert (answer.status_code, answer.json()["param"]) == (422, "after")


def test_somebody_elses_cursor_shows_nothing_of_theirs(world: World) -> None:
    for _ in range(3):
        make(world.client, world.alice)
    cursor = world.client.get("/v1/jobs?limit=1", headers=world.alice.auth).json()["next"]
    answer = world.client.get("/v1/jobs", params={"after": cursor}, headers=world.bob.auth)
    assert answer.status_code == 422 or answer.json()["data"] == []


def test_a_job_is_canceled_once_and_a_finished_one_never(world: World) -> None:
    client, auth = world.client, world.alice.auth
    open_job, done = (make(client, world.alice)["id"] for _ in range(2))
    answers = [client.post(f"/v1/jobs/{open_job}/cancel", headers=auth) for _ in range(2)]
    assert [(answer.status_code, answer.json()["status"]) for answer in answers] == [(200, "canceled")] * 2
    assert answers[0].json()["metrics"]["cost_usd"] == 0
    world.finish(done)
    answer = client.post(f"/v1/jobs/{done}/cancel", headers=auth)
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")


def test_an_idempotency_key_stands_for_one_job_of_one_user(world: World) -> None:
    def post(person: Person, prompt: str) -> Any:
        headers = {**person.auth, "Idempotency-Key": "order-66"}
        return world.client.post("/v1/jobs", json={"prompt": prompt}, headers=headers)

    first, again = post(world.alice, "a rocket"), post(world.alice, "a rocket")
    assert first.json()["id"] == again.json()["id"]
    other = post(world.alice, "a boat")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")
    assert post(world.bob, "a rocket").json()["id"] != first.json()["id"]


def test_foreign_malformed_and_guessed_ids_all_look_unknown(world: World) -> None:
    job_id = make(world.client, world.alice)["id"]
    world.finish(job_id)
    for name, row in ROWS.items():
        if not row.ids:
            continue
        suffix = "" if row.ids == "job" else "-0"
        unknown = as_unknown(call(world.client, row, UNKNOWN_JOB + suffix, world.bob.auth))
        assert unknown[0] == 404
        for id in [job_id + suffix, *BAD_IDS]:
            if id != UNKNOWN_JOB + suffix:
                assert as_unknown(call(world.client, row, id, world.bob.auth)) == unknown, (name, id)
    assert world.client.get(f"/v1/images/{job_id}-0", headers=world.alice.auth).status_code == 200


def test_a_foreign_or_malformed_job_as_a_filter_is_an_empty_list(world: World) -> None:
    job_id = make(world.client, world.alice)["id"]
    world.finish(job_id)
    for id in (job_id, UNKNOWN_JOB, "nonsense", "#"):
        answer = world.client.get("/v1/images", params={"job": id}, headers=world.bob.auth)
        assert (answer.status_code, answer.json()["data"]) == (200, [])


def test_usage_is_ones_own(world: World) -> None:
    make(world.client, world.alice, count=3)
    usage = [world.client.get("/v1/usage", headers=p.auth).json() for p in (world.alice, world.bob)]
    assert [(one["images_today"], one["open_jobs"]) for one in usage] == [(3, 1), (0, 0)]


def test_models_and_me_answer(world: World) -> None:
    models = world.client.get("/v1/models", headers=world.alice.auth).json()["data"]
    assert [model["id"] for model in models] == ["pocket"]
    assert world.client.get("/v1/me", headers=world.bob.auth).json()["email"] == "b@example.com"


def test_the_links_lead_to_the_stored_picture_with_its_parameters(real: RealWorld) -> None:
    job = make(real.client, real.alice, seed=7)
    real.finish(job["id"])
    image = real.client.get(f"/v1/images/{job['id']}-0", headers=real.alice.auth).json()
    with urlopen(image["url"], timeout=10) as answer:
        png = answer.read()
    assert hashlib.sha256(png).hexdigest() == image["sha256"]
    assert len(png) == image["size_bytes"]
    parameters = read(png).parameters
    assert parameters is not None
    assert (parameters.prompt, parameters.seed) == ("a red apple", 7)
    with urlopen(image["thumbnail_url"], timeout=10) as answer:
        assert Pillow.open(io.BytesIO(answer.read())).format == "WEBP"
    download = real.client.get(f"/v1/images/{job['id']}-0/download", headers=real.alice.auth)
    with urlopen(download.headers["location"], timeout=10) as answer:
        assert answer.headers["Content-Disposition"].startswith("attachment")
        assert answer.read() == png


def test_waiting_sees_the_end_that_the_worker_writes(real: RealWorld) -> None:
    answers: list[Any] = []

    def ask() -> None:
        headers = {**real.alice.auth, "Prefer": "wait=20"}
        answers.append(real.client.post("/v1/jobs", json={"prompt": "a rocket"}, headers=headers))

    thread = threading.Thread(target=ask)
    thread.start()
    job_id = ""
    for _ in range(200):
        page = real.client.get("/v1/jobs", headers=real.alice.auth).json()
        if page["data"]:
            job_id = page["data"][0]["id"]
            break
        time.sleep(0.05)
    real.finish(job_id)
    thread.join(timeout=20)
    (answer,) = answers
    assert answer.headers["preference-applied"] == "wait=20"
    assert (answer.json()["id"], answer.json()["status"]) == (job_id, "succeeded")
    assert len(answer.json()["output"]) == 1


def test_cognitos_access_token_gets_in_and_its_id_token_does_not(real: RealWorld) -> None:
    person = real.join("chris", admin=True)
    tokens = real.sign_in(person)
    before = real.snapshot()
    mine = real.client.get("/v1/me", headers={"Authorization": f"Bearer {tokens['AccessToken']}"})
    assert mine.status_code == 200
    assert (mine.json()["id"], mine.json()["role"]) == (person.user_id, "admin")
    refused = real.client.post(
        "/v1/jobs",
        json={"prompt": "a rocket"},
        headers={"Authorization": f"Bearer {tokens['IdToken']}"},
    )
    assert (refused.status_code, refused.json()["code"]) == (401, "invalid_token")
    assert real.snapshot() == before


def test_a_token_of_somebody_who_never_signed_in_here_makes_no_account(real: RealWorld) -> None:
    person = real.cloud.make_person(real.resources, "stranger")
    tokens = real.sign_in(person)
    before = real.snapshot()
    answer = real.client.post(
        "/v1/jobs",
        json={"prompt": "a rocket"},
        headers={"Authorization": f"Bearer {tokens['AccessToken']}"},
    )
    assert (answer.status_code, answer.json()["code"]) == (401, "unknown_user")
    assert real.snapshot() == before


def test_a_demoted_admins_old_token_is_a_makers(real: RealWorld) -> None:
    person = real.join("chris", admin=True)
    auth = {"Authorization": f"Bearer {real.sign_in(person)['AccessToken']}"}
    assert real.client.get("/v1/me", headers=auth).json()["role"] == "admin"
    real.studio.accounts.sign_in(sub=person.sub, email=person.email, groups=(), name="chris")
    assert real.client.get("/v1/me", headers=auth).json()["role"] == "maker"


def test_a_revoked_key_is_refused_from_then_on(real: RealWorld) -> None:
    user, accounts = real.alice.user, real.studio.accounts
    assert real.client.get("/v1/me", headers=real.alice.auth).status_code == 200
    (key,) = accounts.keys(user)
    accounts.revoke_key(user, key.id)
    before = real.snapshot()
    answer = real.client.post("/v1/jobs", json={"prompt": "a"}, headers=real.alice.auth)
    assert answer.status_code == 401
    assert real.snapshot() == before
