"""The studio on a telephone: touch, no keyboard, a screen that the form alone fills."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import TIMEOUT_MS, heading, sign_in
from tests.running import RunningStudio

pytestmark = [pytest.mark.browser, pytest.mark.timeout(400)]


def test_a_telephone_answers_a_press_within_sight_and_hints_at_no_keys(
    running: RunningStudio, chromium: Browser
) -> None:
    context = chromium.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    context.set_default_timeout(TIMEOUT_MS)
    page = context.new_page()
    sign_in(page, running.url, running.credentials["maker"])
    heading(page, "Create")
    button = page.locator(".st-key-generate button")
    hint = button.locator("[aria-label^='Shortcut ']")
    expect(hint).to_have_count(1)
    expect(hint).to_be_hidden()
    page.get_by_text("Advanced").click()
    page.get_by_label("Prompt", exact=True).fill("a red apple")
    button.tap()
    expect(page.get_by_text("Drawing…").first).to_be_in_viewport()
    page.locator(".grid img").first.wait_for(timeout=90_000)
    page.get_by_test_id("stExpandSidebarButton").tap()
    page.get_by_role("link", name="Account").tap()
    heading(page, "Account")
    # The sidebar lies over the page: it folds away behind the choice.
    expect(page.get_by_role("link", name="Account")).not_to_be_in_viewport()
    page.get_by_text("API keys").first.wait_for()
    page.goto(f"{running.url}/gallery")
    heading(page, "Gallery")
    page.locator(".grid img").first.wait_for()
    expect(page.locator(".st-key-gallery_keys")).to_be_hidden()
    # A long press chooses the picture and opens nothing; a tap then lets it go again.
    tile = page.locator(".tile").first
    box = tile.bounding_box()
    assert box is not None
    finger = [{"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}]
    touch = context.new_cdp_session(page)
    touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": finger})
    expect(tile).to_have_attribute("aria-selected", "true")
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    expect(page.locator(".dock")).to_be_visible()
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    expect(page.locator(".grid.held")).to_have_count(0)
    tile.locator(".open").tap()
    expect(page.locator(".dock")).to_be_hidden()
    expect(page.get_by_role("dialog")).to_have_count(0)
    context.close()
