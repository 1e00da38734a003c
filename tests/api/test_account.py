"""Tests of `/v1/models`, `/v1/me`, `/v1/usage` and `/healthz`."""

from __future__ import annotations

from fastapi.testclient import TestClient
from starlette.applications import Starlette

from app.api import create_health_route
from tests.api.conftest import Person
from tests.api.test_jobs import make


def test_models_are_listed_with_limits_defaults_and_state(client: TestClient, alice: Person) -> None:
    listed = client.get("/v1/models", headers=alice.auth).json()
    assert listed["object"] == "list"
    (pocket,) = listed["data"]
    assert (pocket["id"], pocket["object"], pocket["state"]) == ("pocket", "model", "ready")
    assert (pocket["grid_px"], pocket["max_px"], pocket["max_count"]) == (8, 192, 4)
    assert pocket["defaults"]["width"] == 128
    assert pocket["sizes"][0] == {"label": "1:1", "width": 128, "height": 128}
    assert pocket["max_prompt_characters"] == 2000


def test_me_returns_the_owner_of_the_key(client: TestClient, alice: Person, admin: Person) -> None:
    assert client.get("/v1/me", headers=alice.auth).json() == {
        "object": "user",
        "id": alice.user.id,
        "email": "a@example.com",
        "name": "A",
        "role": "maker",
    }
    assert client.get("/v1/me", headers=admin.auth).json()["role"] == "admin"


def test_usage_counts_only_the_callers_jobs(client: TestClient, alice: Person, bob: Person) -> None:
    make(client, alice, count=3)
    mine = client.get("/v1/usage", headers=alice.auth).json()
    theirs = client.get("/v1/usage", headers=bob.auth).json()
    assert (mine["object"], mine["images_today"], mine["open_jobs"]) == ("usage", 3, 1)
    assert (theirs["images_today"], theirs["open_jobs"]) == (0, 0)


def test_health_needs_no_credentials_and_reveals_no_secrets(client: TestClient) -> None:
    answer = client.get("/healthz")
    assert answer.status_code == 200
    assert answer.json() == {"status": "ok", "ready": True, "models": 1}
    assert answer.headers["cache-control"] == "no-store"
    assert client.head("/healthz").status_code == 200


def test_health_is_503_while_the_studio_cannot_be_built() -> None:
    def broken() -> None:
        raise RuntimeError("ATELIER_TABLE: not set")

    client = TestClient(Starlette(routes=[create_health_route(broken)]))  # type: ignore[arg-type]
    answer = client.get("/healthz")
    assert answer.status_code == 503
    assert answer.json() == {"status": "unavailable", "ready": False}
