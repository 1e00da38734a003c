"""Test that only its owner can download the CSV file that the History page generates."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from playwright.sync_api import BrowserContext, Page

from tests.browser.conftest import heading, sign_in
from tests.running import RunningStudio

pytestmark = [pytest.mark.browser, pytest.mark.timeout(400)]


def test_a_generated_csv_file_reaches_its_owner_only_and_is_not_cached(
    running: RunningStudio, page: Page, context: BrowserContext, tmp_path: Path
) -> None:
    asked = {"prompt": "a red apple", "seed": 1, "width": 96, "height": 128}
    assert running.ask("POST", "/v1/jobs", asked, Prefer="wait=60")["status"] == "succeeded"
    sign_in(page, f"{running.url}/history", running.credentials["maker"])
    heading(page, "History")
    with page.expect_download() as download:
        page.get_by_role("button", name="Export CSV").click()
    download.value.save_as(tmp_path / "history.csv")
    assert "a red apple" in (tmp_path / "history.csv").read_text()
    url = download.value.url
    assert "/media/" in url
    owners = context.request.get(url)
    assert (owners.status, owners.headers["cache-control"]) == (200, "no-store")
    assert httpx.get(url).status_code == 401
    other = page.context.browser
    assert other is not None
    strangers = other.new_context()
    try:
        sign_in(strangers.new_page(), f"{running.url}/history", running.credentials["admin"])
        heading(strangers.pages[0], "History")
        assert strangers.request.get(url).status == 404
    finally:
        strangers.close()
