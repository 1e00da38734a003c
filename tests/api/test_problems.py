"""Tests that errors are RFC 9457 documents without internal details."""

from __future__ import annotations

import json
import logging

import pytest
from fastapi.testclient import TestClient
from starlette.applications import Starlette
from starlette.routing import Mount

from app.api import create_api
from app.middleware.request_id import RequestId
from services.build import Studio
from services.errors import BadOutput
from tests.api.conftest import Failing, Person

SECRET = "arn:aws:dynamodb:eu-central-1:123456789012:table/atelier"


@pytest.mark.parametrize("error", [RuntimeError(SECRET), KeyError(SECRET), BadOutput(SECRET)])
def test_an_internal_error_returns_only_a_request_id(
    client: TestClient,
    studio: Studio,
    alice: Person,
    failing: Failing,
    error: Exception,
    caplog: pytest.LogCaptureFixture,
) -> None:
    failing(studio.jobs, "list", error)
    with caplog.at_level(logging.ERROR):
        answer = client.get("/v1/jobs", headers=alice.auth)
    problem = answer.json()
    assert answer.status_code == 500
    assert problem["code"] == "internal"
    assert SECRET not in answer.text
    assert problem["request_id"] == answer.headers["x-request-id"]
    logged = [record for record in caplog.records if record.getMessage() == "request_failed"]
    assert [record.fields["request"] for record in logged] == [problem["request_id"]]  # type: ignore[attr-defined]


def test_a_studio_that_cannot_be_built_returns_500() -> None:
    def broken() -> None:
        raise RuntimeError(SECRET)

    client = TestClient(create_api(broken))  # type: ignore[arg-type]
    answer = client.get("/jobs", headers={"Authorization": "Bearer atl_" + "a" * 40})
    assert answer.status_code == 500
    assert SECRET not in answer.text


@pytest.mark.parametrize(
    "path", ["/v1/unknown", "/v1/", "/v1/jobs/", "/v1/docs", "/v1/redoc", "/v1/jobs/a/b/c"]
)
def test_an_unknown_address_returns_a_json_404(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    assert answer.json()["code"] == "unknown_address"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/v1/jobs", {"GET", "HEAD", "POST"}),
        ("DELETE", "/v1/jobs/x/cancel", {"POST"}),
        ("POST", "/v1/models", {"GET", "HEAD"}),
        ("DELETE", "/v1/me", {"GET", "HEAD"}),
        ("POST", "/v1/openapi.json", {"GET", "HEAD"}),
    ],
)
def test_an_unsupported_method_lists_the_supported_ones(
    client: TestClient, alice: Person, method: str, path: str, allowed: set[str]
) -> None:
    answer = client.request(method, path, headers=alice.auth)
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert set(answer.headers["allow"].split(", ")) == allowed


def test_a_problem_has_the_standard_members_and_the_studios(client: TestClient, alice: Person) -> None:
    answer = client.get("/v1/jobs?limit=0", headers=alice.auth)
    problem = answer.json()
    assert problem == {
        "type": "about:blank",
        "title": problem["title"],
        "status": 422,
        "detail": problem["detail"],
        "instance": "/v1/jobs",
        "code": "invalid_request",
        "param": "limit",
        "request_id": answer.headers["x-request-id"],
    }


def test_the_response_carries_the_servers_request_id(studio: Studio) -> None:
    app = RequestId(Starlette(routes=[Mount("/v1", app=create_api(lambda: studio))]))
    answer = TestClient(app).get("/v1/jobs", headers={"X-Request-Id": "trace-0123456789"})
    assert answer.headers.get_list("x-request-id") == ["trace-0123456789"]
    assert answer.json()["request_id"] == "trace-0123456789"


def test_a_refused_request_is_logged_without_its_key(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    key = "atl_" + "z" * 40
    with caplog.at_level(logging.DEBUG):
        client.get("/v1/me", headers={"Authorization": f"Bearer {key}"})
    events = [record for record in caplog.records if record.getMessage() == "access_refused"]
    assert len(events) == 1
    assert key not in json.dumps([str(record.__dict__) for record in caplog.records])


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/models", "/v1/me", "/v1/openapi.json"])
def test_head_is_answered_as_get_without_a_body(client: TestClient, alice: Person, path: str) -> None:
    got, asked = (client.request(method, path, headers=alice.auth) for method in ("GET", "HEAD"))
    assert (asked.status_code, asked.content) == (200, b"")
    assert asked.headers["content-length"] == got.headers["content-length"] != "0"


@pytest.mark.parametrize(
    "path", ["/v1/jobs/%2e%2e%2f%2e%2e%2fetc", "/v1/jobs%2Fx", "/v1/jobs/%00", "/v1/%ff", "/v1/images/a%2Fb"]
)
def test_an_encoded_path_returns_a_problem(client: TestClient, alice: Person, path: str) -> None:
    answer = client.get(path, headers=alice.auth)
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
