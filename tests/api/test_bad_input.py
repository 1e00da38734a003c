"""Tests that invalid input is refused with a problem that names the field, and creates nothing."""

from __future__ import annotations

import base64
import json
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.api import request_body
from app.api.schemas import JobCreate
from tests import hostile_files as files
from tests.api.conftest import Person
from tests.api.floods import FLOODS
from tests.api.traffic import Traffic

JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": ""}, "prompt"),
        ({"prompt": " \n "}, "prompt"),
        ({"prompt": "x" * 2001}, "prompt"),
        ({"prompt": "bell \x07"}, "prompt"),
        ({"prompt": "nul \x00"}, "prompt"),
        ({"prompt": None}, "prompt"),
        ({"prompt": 7}, "prompt"),
        ({"prompt": ["a"]}, "prompt"),
        ({"negative_prompt": "x" * 2001}, "negative_prompt"),
        ({"model": "dall-e"}, "model"),
        ({"model": "../../etc/passwd"}, "model"),
        ({"width": 65}, "width"),
        ({"width": 4096}, "width"),
        ({"width": -64}, "width"),
        ({"width": 64.0}, "width"),
        ({"width": "64"}, "width"),
        ({"width": 10**400}, "width"),
        ({"height": 0}, "height"),
        ({"steps": 0}, "steps"),
        ({"steps": 51}, "steps"),
        ({"steps": True}, "steps"),
        ({"guidance": 99}, "guidance"),
        ({"guidance": "4"}, "guidance"),
        ({"scheduler": "magic"}, "scheduler"),
        ({"quality": "best"}, "quality"),
        ({"count": 0}, "count"),
        ({"count": 99}, "count"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**32}, "seed"),
        ({"seed": "abc"}, "seed"),
        ({"seed": 1.5}, "seed"),
        ({"user_id": "b" * 32}, "user_id"),
        ({"job": {"bucket": "x"}}, "job"),
    ],
)
def test_an_invalid_field_is_named_and_nothing_is_created(
    client: TestClient, traffic: Traffic, alice: Person, fields: dict[str, Any], param: str
) -> None:
    answer = client.post("/v1/jobs", json={"prompt": "a red apple", **fields}, headers=alice.auth)
    problem = answer.json()
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["param"] == param
    assert len(problem["detail"]) > 10
    assert traffic.writes == []


def test_all_invalid_fields_are_reported_together(client: TestClient, alice: Person) -> None:
    answer = client.post("/v1/jobs", json={"seed": "abc", "color": "red"}, headers=alice.auth)
    assert {error["param"] for error in answer.json()["errors"]} == {"prompt", "seed", "color"}


def test_an_unknown_field_is_refused_with_the_known_ones(client: TestClient, alice: Person) -> None:
    answer = client.post("/v1/jobs", json={"prompt": "a", "sampler": "ddim"}, headers=alice.auth)
    assert "sampler" in answer.json()["detail"]
    assert "scheduler" in answer.json()["detail"]


@pytest.mark.parametrize(
    "prompt",
    [
        "![x](http://evil.example/a.png) **bold** <img src=x onerror=alert(1)>",
        "ein Apfel, une pomme, りんご 🍎",
        "two\nlines\tand a tab",
    ],
)
def test_markdown_and_all_writing_systems_are_plain_text(
    client: TestClient, alice: Person, prompt: str
) -> None:
    answer = client.post("/v1/jobs", json={"prompt": prompt}, headers=alice.auth)
    assert answer.status_code == 201
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["input"]["prompt"] == prompt


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b'{"prompt": "a"',
        b'{"prompt": "a"} trailing',
        b'{"prompt": "a", "guidance": NaN}',
        b'{"prompt": "a", "guidance": -Infinity}',
        b"\xff\xfe\x00",
        b'{"prompt": "\xc3\x28"}',
        b"[" * 100_000,
        b'{"prompt": "a", "seed": ' + b"9" * 5000 + b"}",
    ],
    ids=lambda body: repr(body[:30]),
)
def test_a_body_that_is_not_json_is_a_bad_request(
    client: TestClient, traffic: Traffic, alice: Person, body: bytes
) -> None:
    answer = client.post("/v1/jobs", content=body, headers={**alice.auth, **JSON})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_json"), answer.text
    assert traffic.writes == []


@pytest.mark.parametrize("body", [b"[]", b'"a red apple"', b"null", b"7", b'[{"prompt": "a"}]'])
def test_json_that_is_not_an_object_is_refused(client: TestClient, alice: Person, body: bytes) -> None:
    answer = client.post("/v1/jobs", content=body, headers={**alice.auth, **JSON})
    assert (answer.status_code, answer.json()["param"]) == (422, "body")


def test_a_lone_surrogate_is_refused_in_values_and_names(client: TestClient, alice: Person) -> None:
    for body in (b'{"prompt": "\\ud800"}', b'{"prompt": "a", "\\ud800": 1}'):
        answer = client.post("/v1/jobs", content=body, headers={**alice.auth, **JSON})
        assert answer.status_code == 422
        assert answer.json()["detail"]


def test_a_number_that_overflows_to_infinity_is_refused(client: TestClient, alice: Person) -> None:
    body = b'{"prompt": "a", "guidance": 1e400}'
    answer = client.post("/v1/jobs", content=body, headers={**alice.auth, **JSON})
    assert (answer.status_code, answer.json()["param"]) == (422, "guidance")


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "image/png",
    ],
)
def test_a_body_of_another_type_is_refused(
    client: TestClient, traffic: Traffic, alice: Person, content_type: str | None
) -> None:
    headers = {**alice.auth, **({"Content-Type": content_type} if content_type else {})}
    answer = client.post("/v1/jobs", content=b'{"prompt": "a"}', headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")
    assert traffic.writes == []


def test_a_content_type_with_a_charset_is_accepted(client: TestClient, alice: Person) -> None:
    headers = {**alice.auth, "Content-Type": "Application/JSON; charset=utf-8"}
    assert client.post("/v1/jobs", content=b'{"prompt": "a"}', headers=headers).status_code == 201


@pytest.mark.parametrize("declared", [True, False])
def test_a_body_of_twenty_megabytes_is_refused_with_and_without_content_length(
    client: TestClient, traffic: Traffic, alice: Person, declared: bool
) -> None:
    body = json.dumps({"prompt": "x" * 20_000_000}).encode()
    content = body if declared else iter([body[n : n + 65536] for n in range(0, len(body), 65536)])
    answer = client.post("/v1/jobs", content=content, headers={**alice.auth, **JSON})
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    assert traffic.writes == []


def test_an_error_never_repeats_the_input(client: TestClient, alice: Person) -> None:
    secret = "do-not-echo-me"
    for fields in ({"seed": secret}, {"prompt": secret, "width": secret}, {"prompt": [secret]}):
        assert secret not in client.post("/v1/jobs", json=fields, headers=alice.auth).text


@pytest.mark.parametrize("field", ["image", "mask"])
@pytest.mark.parametrize("name", [name for name in files.refused_as_pictures() if name != "of_100_mb"])
def test_a_hostile_picture_is_refused_by_field_and_nothing_is_created(
    client: TestClient, traffic: Traffic, alice: Person, name: str, field: str
) -> None:
    fine = base64.b64encode(files.png()).decode()
    body = {"prompt": "a red apple", "image": fine}
    body[field] = base64.b64encode(files.refused_as_pictures()[name]()).decode()
    answer = client.post("/v1/jobs", json=body, headers=alice.auth)
    assert (answer.status_code, answer.json()["param"]) == (422, field)
    assert traffic.writes == []


@pytest.mark.parametrize("name", FLOODS)
def test_a_body_of_a_million_values_is_refused_before_it_is_parsed(
    client: TestClient, traffic: Traffic, alice: Person, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    body = FLOODS[name]()
    assert len(body) > 10_000_000

    def parse(*_: object, **__: object) -> None:
        raise AssertionError("the body was parsed")

    parser = SimpleNamespace(loads=parse, JSONDecodeError=json.JSONDecodeError)
    monkeypatch.setattr(request_body, "json", parser)
    answer = client.post("/v1/jobs", content=body, headers={**alice.auth, **JSON})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_json")
    assert len(answer.content) < 1000
    assert traffic.writes == []


def test_at_most_twenty_problems_are_reported(client: TestClient, alice: Person) -> None:
    for fields in ({f"f{n}": 1 for n in range(9000)}, {"width": "x", **{f"f{n}": 1 for n in range(20)}}):
        answer = client.post("/v1/jobs", json={"prompt": "a", **fields}, headers=alice.auth)
        assert answer.status_code == 422
        assert len(answer.json()["errors"]) == 20
    many = "&".join(f"status=x{n}" for n in range(90))
    answer = client.get(f"/v1/jobs?{many}", headers=alice.auth)
    assert answer.status_code == 422 and len(answer.json()["errors"]) == 20


@pytest.mark.parametrize("depth", [9, 500])
def test_a_deeply_nested_value_is_refused(client: TestClient, alice: Person, depth: int) -> None:
    body = b'{"prompt": "a", "seed": ' + b'{"a":' * depth + b"1" + b"}" * depth + b"}"
    answer = client.post("/v1/jobs", content=body, headers={**alice.auth, **JSON})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_json")


def test_null_means_that_an_optional_field_is_left_out(client: TestClient, alice: Person) -> None:
    optional = set(JobCreate.model_fields) - {"prompt"}
    answer = client.post("/v1/jobs", json={"prompt": "a", **dict.fromkeys(optional)}, headers=alice.auth)
    assert answer.status_code == 201, answer.text


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/images"])
@pytest.mark.parametrize("depth", [10, 3_000, 20_000])
def test_a_cursor_of_nested_json_is_refused(client: TestClient, alice: Person, path: str, depth: int) -> None:
    cursor = base64.urlsafe_b64encode(b"[" * depth + b"]" * depth).decode().rstrip("=")
    answer = client.get(path, params={"after": cursor}, headers=alice.auth)
    assert (answer.status_code, answer.json()["param"]) == (422, "after")


@pytest.mark.parametrize("query", ["&".join(f"status=x{n}" for n in range(5000)), "&" * 9000], ids=len)
@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/images", "/v1/me"])
def test_a_query_of_thousands_of_parameters_is_refused_before_it_is_parsed(
    client: TestClient, alice: Person, path: str, query: str
) -> None:
    answer = client.get(f"{path}?{query}", headers=alice.auth)
    assert (answer.status_code, answer.json()["code"]) == (400, "too_many_parameters")
    assert len(answer.content) < 1000
