"""A program sends what it means: nothing that the form expands is expanded by `/v1`."""

from __future__ import annotations

import pytest

from tests.api.test_jobs import make
from tests.api.test_services import RealWorld, real

__all__ = ["real"]
pytestmark = pytest.mark.wire


def test_braces_lists_and_backslashes_of_a_program_are_characters(real: RealWorld) -> None:
    real.studio.prompts.save_list(real.alice.user, "animal", "cat\ndog", new=True)
    prompt = r"{red|blue} __animal__ \{x\} {prompt"
    job = make(real.client, real.alice, prompt=prompt)
    assert job["input"]["prompt"] == prompt
    listed = real.client.get("/v1/jobs", headers=real.alice.auth).json()["data"]
    assert [each["input"]["prompt"] for each in listed] == [prompt]
