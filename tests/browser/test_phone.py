"""Tests of the studio on a phone: touch, no keyboard, and a small screen."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import TIMEOUT_MS, heading, settled, sign_in
from tests.running import RunningStudio

pytestmark = [pytest.mark.browser, pytest.mark.timeout(400)]


def test_a_phone_shows_feedback_in_view_and_no_keyboard_hints(
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
    # The sidebar covers the page and closes after a choice.
    expect(page.get_by_role("link", name="Account")).not_to_be_in_viewport()
    page.get_by_text("API keys").first.wait_for()
    page.goto(f"{running.url}/gallery")
    heading(page, "Gallery")
    page.locator(".grid img").first.wait_for()
    expect(page.locator(".st-key-gallery_keys")).to_be_hidden()
    # A long press selects the picture without opening it; a tap then deselects it.
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
    _try_a_job_of_the_history_again(running, page)
    context.close()


def _try_a_job_of_the_history_again(running: RunningStudio, page: Page) -> None:
    """Check the history's table, filters, job details, deletion, and retry on narrow screens."""
    with running.model_held():
        canceled = [running.ask("POST", "/v1/jobs", {"prompt": "a rocket"})["id"] for _ in range(2)]
        for job in canceled:
            running.ask("POST", f"/v1/jobs/{job}/cancel")
    for job in canceled:
        running.wait_for_job(job, "canceled")
    page.goto(f"{running.url}/history")
    heading(page, "History")
    page.get_by_role("combobox", name="State").tap()
    page.get_by_role("option", name="Canceled").tap()
    page.keyboard.press("Escape")
    details = page.locator(".st-key-job_details")
    table = page.get_by_test_id("stDataFrame")
    # The frame appears before the canvas that handles taps.
    table.locator("canvas").first.wait_for()
    # Header and two rows, once the filter has hidden the other job.
    expect(table).to_have_css("height", re.compile(r"^1[01]\d(\.\d+)?px"))
    # While the page still changes, the table is redrawn, and a tap on it can be lost.
    settled(page)
    box = table.bounding_box()
    assert box is not None
    # The table's toolbar, always visible on devices without hover, does not cover the filters.
    tools = page.get_by_test_id("stElementToolbar").last.bounding_box()
    until = page.get_by_role("group", name="To (UTC)").bounding_box()
    assert tools is not None and until is not None and until["y"] + until["height"] <= tools["y"]
    page.touchscreen.tap(box["x"] + 15, box["y"] + 55)
    details.get_by_text("a rocket", exact=True).wait_for()
    details.get_by_text(canceled[1]).wait_for()
    for width, height in ((390, 844), (320, 640)):
        page.set_viewport_size({"width": width, "height": height})
        for name in ("Show", "Try again", "Use again", "Delete"):
            button = details.get_by_role("button", name=name)
            button.scroll_into_view_if_needed()
            expect(button).to_be_in_viewport(ratio=1)
        assert page.evaluate("document.documentElement.scrollWidth") == width
    details.get_by_role("button", name="Delete").tap()
    page.get_by_test_id("stPopoverBody").get_by_role("button", name="Delete").tap()
    page.get_by_text("Deleted 1 job").wait_for()
    expect(table).to_have_css("height", re.compile(r"^7\d(\.\d+)?px"))
    settled(page)
    box = table.bounding_box()
    assert box is not None
    page.touchscreen.tap(box["x"] + 15, box["y"] + 55)
    details.get_by_text(canceled[0]).wait_for()
    details.get_by_role("button", name="Try again").tap()
    heading(page, "Create")
    page.wait_for_url("**job=*")
    again = page.url.partition("job=")[2].partition("&")[0]
    assert running.ask("GET", f"/v1/jobs/{again}")["input"]["prompt"] == "a rocket"
