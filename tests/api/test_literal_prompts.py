"""Tests that `/v1` takes prompts literally: it does not expand the syntax of the form."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from services.build import Studio
from tests.api.conftest import Person
from tests.api.test_jobs import make

pytestmark = pytest.mark.wire


def test_braces_list_names_and_backslashes_are_plain_characters(
    client: TestClient, studio: Studio, alice: Person
) -> None:
    studio.prompts.save_list(alice.user, "animal", "cat\ndog", new=True)
    prompt = r"{red|blue} __animal__ \{x\} {prompt"
    job = make(client, alice, prompt=prompt)
    assert job["input"]["prompt"] == prompt
    listed = client.get("/v1/jobs", headers=alice.auth).json()["data"]
    assert [each["input"]["prompt"] for each in listed] == [prompt]
