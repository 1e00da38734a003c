"""Tests of the gallery: searching, adding to an album, and downloading a ZIP, on desktop and phone."""

from __future__ import annotations

import zipfile
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from services.formats import png_metadata
from tests.browser.conftest import heading, sign_in
from tests.running import RunningStudio

pytestmark = [pytest.mark.browser, pytest.mark.timeout(400)]


def fetch_zip(page: Page, context: BrowserContext, target: Path, kind: str) -> zipfile.ZipFile:
    """Request the dialog's ZIP and open it once the worker has created it."""
    dialog = page.get_by_role("dialog")
    dialog.get_by_text(kind, exact=True).click()
    dialog.get_by_role("button", name="Create ZIP").click()
    link = dialog.get_by_role("link", name="Download").first
    link.wait_for()
    answer = context.request.get(link.get_attribute("href") or "")
    assert answer.ok and ".zip" in answer.headers["content-disposition"]
    target.write_bytes(answer.body())
    dialog.get_by_role("button", name="Delete").first.click()
    expect(link).to_have_count(0)
    # Escape also works without a focused element: the focused button was removed.
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    archive = zipfile.ZipFile(target)
    assert archive.testzip() is None
    return archive


def test_pictures_are_searched_collected_in_an_album_and_downloaded(
    running: RunningStudio, page: Page, context: BrowserContext, tmp_path: Path
) -> None:
    drawn: dict[str, list[str]] = {}
    for prompt in ("a lighthouse", "a green sailboat", "a yellow sailboat"):
        asked = {"prompt": prompt, "steps": 1, "count": 2}
        job = running.ask("POST", "/v1/jobs", asked, Prefer="wait=60")
        assert job["status"] == "succeeded"
        drawn[prompt] = [image["id"] for image in job["output"]]
    sign_in(page, f"{running.url}/gallery", running.credentials["maker"])
    heading(page, "Gallery")
    tiles = page.locator(".tile")
    shown = lambda: [tile.get_attribute("data-id") for tile in tiles.all()]  # noqa: E731

    # Search by words, which survive a reload in the URL.
    search = page.get_by_label("Search", exact=True)
    search.fill("sailb -green")
    search.press("Enter")
    expect(tiles).to_have_count(2)
    assert sorted(shown()) == sorted(drawn["a yellow sailboat"])  # type: ignore[type-var]
    page.reload()
    expect(tiles).to_have_count(2)
    expect(search).to_have_value("sailb -green")
    assert parse_qs(urlsplit(page.url).query)["q"] == ["sailb -green"]
    assert tiles.first.evaluate("tile => tile.style.getPropertyValue('--color')").startswith("#")
    search.fill("sailboat")
    search.press("Enter")
    expect(tiles).to_have_count(4)

    # Select with Ctrl and Shift, and add to a new album.
    tiles.nth(0).locator(".open").click(modifiers=["Control"])
    tiles.nth(2).locator(".open").click(modifiers=["Shift"])
    chosen = shown()[:3]
    page.locator(".dock").get_by_role("button", name="Album").click()
    name = page.get_by_role("dialog").get_by_label("Add to")
    name.fill("Boats & <b>sails</b>")
    name.press("Enter")
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.get_by_text("Albums", exact=True).click()
    page.get_by_role("button", name="Open the album Boats & <b>sails</b>, 3 pictures").click()
    expect(tiles).to_have_count(3)
    assert shown() == chosen and "album=" in page.url
    page.reload()
    expect(tiles).to_have_count(3)

    # Download a selection with settings, then the album without texts.
    tiles.nth(0).locator(".open").click(modifiers=["Control"])
    tiles.nth(1).locator(".open").click(modifiers=["Control"])
    page.locator(".dock").get_by_role("button", name="ZIP").click()
    archive = fetch_zip(page, context, tmp_path / "chosen.zip", "With their settings")
    pictures = [entry for entry in archive.namelist() if entry.startswith("pictures/")]
    assert len(pictures) == 2 and all("sailboat" in entry for entry in pictures)
    assert {"manifest.json", "manifest.csv"} < set(archive.namelist())
    inside = [png_metadata.read(archive.read(entry)).parameters for entry in pictures]
    assert [one.image for one in inside if one] == chosen[:2]
    page.locator(".dock").get_by_role("button", name="Clear").click()
    page.locator(".st-key-gallery_zip").get_by_role("button", name="ZIP").click()
    archive = fetch_zip(page, context, tmp_path / "album.zip", "Pictures only")
    assert archive.namelist() == ["pictures/00001.png", "pictures/00002.png", "pictures/00003.png"]
    bare = [archive.read(entry) for entry in archive.namelist()]
    assert all(png_metadata.texts(png) == {} and b"sailboat" not in png for png in bare)
    assert bare[:2] == [
        png_metadata.strip(zipfile.ZipFile(tmp_path / "chosen.zip").read(entry)) for entry in pictures
    ]

    # On a phone: filters in a popover, no horizontal scrolling.
    page.set_viewport_size({"width": 320, "height": 700})
    page.get_by_role("button", name="Filters").click()
    expect(page.get_by_role("group", name="From (UTC)")).to_be_visible()
    page.keyboard.press("Escape")
    assert page.evaluate("document.documentElement.scrollWidth") == 320
    tiles.nth(0).locator(".mark").click()
    dock = page.locator(".dock")
    expect(dock.get_by_role("button", name="Clear")).to_be_in_viewport(ratio=1)
    box = dock.bounding_box()
    assert box is not None and box["x"] >= 0 and box["x"] + box["width"] <= 320
