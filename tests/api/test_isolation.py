"""Tests that users cannot reach each other's data; every operation of the OpenAPI document needs a row here."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.api import create_api
from tests.api.conftest import Finish, Person
from tests.api.test_jobs import make
from tests.api.traffic import Traffic


@dataclass(frozen=True)
class Row:
    """How to call an operation, the kind of its id, and a check that Bob sees none of Alice's data."""

    method: str
    path: str
    body: dict[str, Any] | None = None
    ids: str | None = None
    sees_only_own: Callable[[dict[str, Any], Person], bool] | None = None


ROWS = {
    "createJob": Row("POST", "/jobs", body={"prompt": "a red apple"}),
    "listJobs": Row("GET", "/jobs", sees_only_own=lambda page, bob: page["data"] == []),
    "getJob": Row("GET", "/jobs/{id}", ids="job"),
    "cancelJob": Row("POST", "/jobs/{id}/cancel", ids="job"),
    "runJob": Row("POST", "/jobs/{id}/run", ids="job"),
    "listImages": Row("GET", "/images", sees_only_own=lambda page, bob: page["data"] == []),
    "getImage": Row("GET", "/images/{id}", ids="image"),
    "downloadImage": Row("GET", "/images/{id}/download", ids="image"),
    "deleteImage": Row("DELETE", "/images/{id}", ids="image"),
    "listModels": Row("GET", "/models"),
    "getMe": Row("GET", "/me", sees_only_own=lambda me, bob: me["id"] == bob.user.id),
    "getUsage": Row("GET", "/usage", sees_only_own=lambda usage, bob: usage["images_today"] == 0),
}
UNKNOWN_JOB = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
BAD_IDS = [
    UNKNOWN_JOB,
    UNKNOWN_JOB.lower(),
    f"{UNKNOWN_JOB}-0",
    "0",
    "-",
    "null",
    "..%2e",
    "%2e%2e",
    "%00",
    "a" * 2000,
    "*",
    "JOB%23" + UNKNOWN_JOB,
    "%F0%9F%8D%8E",
    "' OR 1=1 --",
]


def operations() -> dict[str, tuple[str, str]]:
    document = create_api(lambda: None).openapi()  # type: ignore[arg-type, return-value]
    return {
        operation["operationId"]: (method.upper(), path)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


@pytest.fixture
def items(client: TestClient, finish: Finish, alice: Person) -> dict[str, str]:
    """The ids of a finished job of Alice and of its picture."""
    job_id = make(client, alice, seed=7)["id"]
    finish(job_id)
    return {"job": job_id, "image": f"{job_id}-0"}


def call(client: TestClient, row: Row, id: str, headers: dict[str, str]) -> Any:
    return client.request(row.method, "/v1" + row.path.replace("{id}", id), json=row.body, headers=headers)


def as_unknown(answer: Any) -> tuple[Any, ...]:
    """Returns an answer without the parts that differ between any two requests."""
    problem = answer.json()
    problem.pop("request_id")
    # The answer repeats an id only in the requested path.
    own_length = len(json.dumps(problem.pop("instance"), ensure_ascii=False).encode())
    headers = dict(answer.headers) | {"x-request-id": "", "content-length": ""}
    return answer.status_code, problem, headers, len(answer.content) - own_length


def test_every_operation_has_a_row() -> None:
    assert {name: (row.method, row.path) for name, row in ROWS.items()} == operations()


@pytest.mark.parametrize("operation", ROWS)
def test_a_request_without_credentials_gets_401_and_reveals_nothing(
    client: TestClient, items: dict[str, str], traffic: Traffic, operation: str
) -> None:
    row = ROWS[operation]
    answer = call(client, row, items.get(row.ids or "", ""), {})
    assert answer.status_code == 401
    assert set(answer.json()) == {"type", "title", "status", "detail", "instance", "code", "request_id"}
    assert traffic.writes == []


@pytest.mark.parametrize("who", ["bob", "admin"])
@pytest.mark.parametrize("operation", [name for name, row in ROWS.items() if row.ids])
def test_another_users_item_looks_exactly_like_a_missing_one(
    client: TestClient,
    bob: Person,
    admin: Person,
    items: dict[str, str],
    traffic: Traffic,
    operation: str,
    who: str,
) -> None:
    person = {"bob": bob, "admin": admin}[who]
    row = ROWS[operation]
    assert row.ids
    foreign = items[row.ids]
    unknown = UNKNOWN_JOB if row.ids == "job" else f"{UNKNOWN_JOB}-0"
    answers = [as_unknown(call(client, row, id, person.auth)) for id in (foreign, unknown)]
    assert answers[0][0] == 404
    assert answers[0] == answers[1]
    assert traffic.writes == []


@pytest.mark.parametrize("bad_id", BAD_IDS, ids=lambda text: text[:20])
@pytest.mark.parametrize("operation", [name for name, row in ROWS.items() if row.ids])
def test_a_malformed_or_guessed_id_looks_like_an_unknown_one(
    client: TestClient, alice: Person, traffic: Traffic, operation: str, bad_id: str
) -> None:
    row = ROWS[operation]
    unknown = UNKNOWN_JOB if row.ids == "job" else f"{UNKNOWN_JOB}-0"
    bad, plain = (as_unknown(call(client, row, id, alice.auth)) for id in (bad_id, unknown))
    assert bad == plain
    assert bad[0] == 404
    assert traffic.writes == []


@pytest.mark.parametrize("operation", [name for name, row in ROWS.items() if row.sees_only_own])
def test_lists_show_only_the_callers_items(
    client: TestClient, items: dict[str, str], bob: Person, operation: str
) -> None:
    row = ROWS[operation]
    assert row.sees_only_own
    answer = call(client, row, "", bob.auth)
    assert answer.status_code == 200
    assert row.sees_only_own(answer.json(), bob)


def test_filtering_by_another_users_job_returns_an_empty_list_like_an_unknown_one(
    client: TestClient, items: dict[str, str], bob: Person
) -> None:
    answers = [
        client.get("/v1/images", params={"job": id}, headers=bob.auth).json()
        for id in (items["job"], UNKNOWN_JOB)
    ]
    assert answers[0] == answers[1]
    assert answers[0]["data"] == []


def test_another_users_cursor_reveals_nothing(client: TestClient, alice: Person, bob: Person) -> None:
    for _ in range(3):
        make(client, alice)
    cursor = client.get("/v1/jobs?limit=1", headers=alice.auth).json()["next"]
    answer = client.get("/v1/jobs", params={"after": cursor}, headers=bob.auth)
    assert (answer.status_code, answer.json()["data"]) == (200, [])


@pytest.mark.parametrize("operation", ROWS)
def test_the_owner_has_access(
    client: TestClient, items: dict[str, str], alice: Person, operation: str
) -> None:
    row = ROWS[operation]
    answer = call(client, row, items.get(row.ids or "", ""), alice.auth)
    # A finished job cannot be canceled or run; only its owner gets 409.
    assert answer.status_code == 409 if operation in {"cancelJob", "runJob"} else answer.status_code < 400
