"""Tests that a picture from the gallery fills the form when dropped on the Create page and a hostile file does not."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests import hostile_files as files
from tests.browser.conftest import heading, sign_in
from tests.running import RunningStudio

pytestmark = [pytest.mark.browser, pytest.mark.timeout(400)]

HOSTILE = "a red apple ![x](http://evil.example/m.png) <img src=http://evil.example/h.png>"


def test_a_picture_from_the_gallery_fills_the_form_and_a_hostile_file_does_not(
    running: RunningStudio, page: Page, tmp_path: Path
) -> None:
    hosts: set[str] = set()
    page.on("request", lambda request: hosts.add(urlsplit(request.url).netloc))
    asked = {"prompt": HOSTILE, "seed": 424242, "steps": 7, "width": 96, "height": 128}
    job = running.ask("POST", "/v1/jobs", asked, Prefer="wait=60")
    assert job["status"] == "succeeded"

    sign_in(page, f"{running.url}/gallery", running.credentials["maker"])
    heading(page, "Gallery")
    tile = page.locator(".tile").first
    tile.hover()
    with page.expect_download() as download:
        tile.locator("a").first.click()
    file = tmp_path / download.value.suggested_filename
    download.value.save_as(file)

    page.get_by_role("link", name="Generate").click()
    heading(page, "Create")
    page.get_by_text("Settings from a picture").click()
    drop = page.locator(".st-key-recall_box input[type=file]")
    svg = tmp_path / "picture.png"
    svg.write_bytes(files.SVG)
    drop.set_input_files(svg)
    page.get_by_text("This is no PNG, JPEG or WebP picture").wait_for()
    drop.set_input_files(file)
    box = page.locator(".st-key-recall_box")
    box.get_by_text(HOSTILE, exact=True).wait_for()
    box.get_by_text("seed 424242").wait_for()
    box.get_by_role("button", name="Use all").click()
    expect(page.get_by_label("Prompt", exact=True)).to_have_value(HOSTILE)
    page.get_by_text("Advanced").click()
    expect(page.locator(".st-key-g_seed input")).to_have_value("424242")
    expect(page.locator(".st-key-g_steps input")).to_have_value("7")
    expect(page.locator(".st-key-g_width input")).to_have_value("96")
    expect(page.locator(".st-key-g_height input")).to_have_value("128")
    hosts.discard("")
    assert hosts <= {urlsplit(running.url).netloc, f"localhost:{running.ports()['cloud']}"}, hosts
