"""Tests that `Traffic` records writes, which other tests rely on when they expect none."""

from __future__ import annotations

from fastapi.testclient import TestClient

from tests.api.conftest import Person
from tests.api.test_jobs import make
from tests.api.traffic import Traffic


def test_creating_a_job_is_recorded_as_writes_and_listing_as_none(
    client: TestClient, alice: Person, traffic: Traffic
) -> None:
    client.get("/v1/jobs", headers=alice.auth)
    assert "dynamodb.Query" in traffic.calls and traffic.writes == []
    make(client, alice)
    assert "dynamodb.TransactWriteItems" in traffic.writes
