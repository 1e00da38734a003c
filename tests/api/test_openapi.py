"""Tests that the OpenAPI document is complete and matches the API's actual answers."""

from __future__ import annotations

import re
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from fastapi.testclient import TestClient

from app.api.problems import MEDIA_TYPE
from services.records import JobStatus
from tests.api.conftest import Finish, Person
from tests.api.test_jobs import make


@pytest.fixture
def document(client: TestClient) -> dict[str, Any]:
    answer = client.get("/v1/openapi.json")
    assert answer.status_code == 200
    served: dict[str, Any] = answer.json()
    return served


def conforms(document: dict[str, Any], operation: tuple[str, str], answer: Any) -> None:
    """Fails unless the document declares the answer for the operation."""
    path, method = operation
    declared = document["paths"][path][method]["responses"][str(answer.status_code)]
    media_type = answer.headers["content-type"]
    schema = {**declared["content"][media_type]["schema"], "components": document["components"]}
    jsonschema.Draft202012Validator(schema).validate(answer.json())


def test_the_document_is_public_and_names_the_address_of_the_api(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    assert document["servers"] == [{"url": "/v1"}]
    assert set(document["paths"]) == {
        "/jobs",
        "/jobs/{id}",
        "/jobs/{id}/cancel",
        "/jobs/{id}/run",
        "/images",
        "/images/{id}",
        "/images/{id}/download",
        "/models",
        "/me",
        "/usage",
    }


def test_every_reference_resolves_and_every_schema_is_used(document: dict[str, Any]) -> None:
    names = re.findall(r"'#/components/schemas/([^']+)'", str(document))
    assert set(names) == set(document["components"]["schemas"])


def test_every_operation_declares_its_problems_and_its_credentials(document: dict[str, Any]) -> None:
    assert document["security"] == [{"bearer": []}, {"apiKey": []}]
    assert set(document["components"]["securitySchemes"]) == {"bearer", "apiKey"}
    described = {tag["name"] for tag in document["tags"] if tag["description"]}
    for path, methods in document["paths"].items():
        for operation in methods.values():
            assert set(operation["tags"]) <= described
            assert operation["summary"]
            assert operation["description"]
            responses = operation["responses"]
            assert {"400", "401", "500", "503"} <= set(responses)
            assert ("{id}" in path) == ("404" in responses)
            for status, response in responses.items():
                if int(status) >= 400:
                    assert list(response["content"]) == [MEDIA_TYPE]


def test_the_body_of_a_new_job_has_the_expected_fields(document: dict[str, Any]) -> None:
    schema = document["components"]["schemas"]["JobCreate"]
    assert set(schema["properties"]) == {
        "prompt",
        "negative_prompt",
        "model",
        "width",
        "height",
        "steps",
        "guidance",
        "scheduler",
        "quality",
        "seed",
        "count",
        "image",
        "strength",
        "mask",
        "when",
        "within_s",
    }
    assert schema["required"] == ["prompt"]
    assert schema["additionalProperties"] is False
    names = {parameter["name"] for parameter in document["paths"]["/jobs"]["post"]["parameters"]}
    assert names == {"Idempotency-Key", "Prefer"}


@pytest.mark.parametrize("key", ["k" * 255, "k" * 256, "", "a b~", "a\tb", "\xe9"])
def test_the_limits_of_an_idempotency_key_are_those_of_the_document(
    client: TestClient, alice: Person, document: dict[str, Any], key: str
) -> None:
    parameters = document["paths"]["/jobs"]["post"]["parameters"]
    schema = next(one["schema"] for one in parameters if one["name"] == "Idempotency-Key")
    fits = schema["minLength"] <= len(key) <= schema["maxLength"] and re.search(schema["pattern"], key)
    headers = {**alice.auth, "Idempotency-Key": key.encode("latin-1")}
    answer = client.post("/v1/jobs", json={"prompt": "a"}, headers=headers)
    assert (answer.status_code, bool(fits)) in [(201, True), (422, False)]


def test_every_response_matches_its_schema(
    client: TestClient, finish: Finish, alice: Person, document: dict[str, Any]
) -> None:
    made = client.post("/v1/jobs", json={"prompt": "a"}, headers=alice.auth)
    conforms(document, ("/jobs", "post"), made)
    job_id = made.json()["id"]
    finish(job_id)
    failed = make(client, alice)["id"]
    finish(failed, JobStatus.FAILED)
    image = f"/images/{job_id}-0"
    for path, address in [
        ("/jobs", "/jobs"),
        ("/jobs/{id}", f"/jobs/{job_id}"),
        ("/jobs/{id}", f"/jobs/{failed}"),
        ("/jobs/{id}", "/jobs/unknown"),
        ("/images", "/images"),
        ("/images/{id}", image),
        ("/images", "/images?limit=0"),
        ("/models", "/models"),
        ("/me", "/me"),
        ("/usage", "/usage"),
    ]:
        conforms(document, (path, "get"), client.get(f"/v1{address}", headers=alice.auth))
    conforms(document, ("/me", "get"), client.get("/v1/me"))
    conforms(
        document,
        ("/jobs/{id}/cancel", "post"),
        client.post(f"/v1/jobs/{job_id}/cancel", headers=alice.auth),
    )
    waiting = client.post("/v1/jobs", json={"prompt": "a", "when": "warm"}, headers=alice.auth)
    conforms(document, ("/jobs", "post"), waiting)
    address = f"/v1/jobs/{waiting.json()['id']}/run"
    conforms(document, ("/jobs/{id}/run", "post"), client.post(address, headers=alice.auth))
    conforms(
        document,
        ("/jobs", "post"),
        client.post("/v1/jobs", json={"seed": "abc"}, headers=alice.auth),
    )
