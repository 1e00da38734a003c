"""Tests of loading the settings: every problem is reported at startup."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from services.aws.objects import Objects
from services.aws.session import make_clients
from services.settings import OTHER_PROCESSES, Settings, SettingsError, load_settings, variable

GOOD = {
    "AWS_REGION": "eu-central-1",
    "ATELIER_PUBLIC_URL": "https://studio.example.com",
    "ATELIER_TABLE": "atelier",
    "ATELIER_INPUTS_BUCKET": "in",
    "ATELIER_OUTPUTS_BUCKET": "out",
    "ATELIER_IMAGES_BUCKET": "pictures",
    "ATELIER_LIBRARY_BUCKET": "library",
    "ATELIER_RESULTS_QUEUE_URL": "https://sqs.eu-central-1.amazonaws.com/1/results",
    "ATELIER_ENDPOINTS": '{"pocket": "atelier-pocket"}',
    "ATELIER_COOKIE_SECRET": "s" * 32,
    "AUTH_MODE": "local",
}


def test_valid_settings_load_with_defaults() -> None:
    settings = load_settings(GOOD)
    assert settings.endpoints == {"pocket": "atelier-pocket"}
    assert settings.dispatch_window == 4


def test_with_an_endpoint_url_pictures_come_from_that_address() -> None:
    settings = load_settings(GOOD | {"AWS_ENDPOINT_URL": "http://localhost:9501"})
    assert settings.picture_origins == ("http://localhost:9501",)


@pytest.mark.parametrize("region", ["eu-central-1", "us-east-1"])
def test_on_aws_picture_and_preview_links_use_allowed_origins(
    monkeypatch: pytest.MonkeyPatch, region: str
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    settings = load_settings(GOOD | {"AWS_REGION": region})
    s3 = make_clients(settings).s3
    for bucket in (settings.images_bucket, settings.outputs_bucket):
        parts = urlsplit(Objects(s3, bucket).link("a/b.png"))
        assert f"{parts.scheme}://{parts.netloc}" in settings.picture_origins


def test_all_problems_are_reported_at_once() -> None:
    broken = {**GOOD, "ATELIER_JOB_TTL_S": "5", "ATELIER_COOKIE_SECRET": "short", "ATELIER_TYPO": "x"}
    del broken["ATELIER_TABLE"]
    with pytest.raises(SettingsError) as caught:
        load_settings(broken)
    for name in ("ATELIER_JOB_TTL_S", "ATELIER_COOKIE_SECRET", "ATELIER_TYPO", "ATELIER_TABLE"):
        assert name in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ATELIER_PUBLIC_URL", "studio.example.com"),
        ("ATELIER_PUBLIC_URL", "https://studio.example.com/"),
        ("ATELIER_ENDPOINTS", "{}"),
        ("ATELIER_ENDPOINTS", "[]"),
        ("ATELIER_JOB_TIMEOUT_S", "3601"),
        ("ATELIER_USER_MONTHLY_USD", "0"),
        ("ATELIER_USER_DAILY_IMAGES", "many"),
        ("AUTH_MODE", "none"),
        ("ATELIER_LOG_LEVEL", "loud"),
    ],
)
def test_an_invalid_value_is_reported_with_its_variable(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        load_settings(GOOD | {name: value})


def test_cognito_requires_all_its_settings() -> None:
    with pytest.raises(SettingsError, match="ATELIER_COGNITO_CLIENT_SECRET"):
        load_settings(GOOD | {"AUTH_MODE": "cognito", "ATELIER_COGNITO_POOL_ID": "p"})


def test_secrets_are_not_in_the_repr() -> None:
    assert "s" * 32 not in repr(load_settings(GOOD))


def test_the_contract_lists_exactly_the_variables_the_settings_read() -> None:
    page = (Path(__file__).parents[2] / "docs/contracts.md").read_text()
    section = page.split("## Environment of the studio and the worker")[1].split("\n## ")[0]
    documented = set(re.findall(r"`((?:ATELIER_|AUTH_MODE)[A-Z_]*)`", section))
    read = {variable(field) for field in Settings.model_fields} - {"AWS_REGION", "AWS_ENDPOINT_URL"}
    assert documented - OTHER_PROCESSES == read
