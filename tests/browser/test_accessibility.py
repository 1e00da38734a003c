"""Every page by axe-core (WCAG 2.2 AA), light and dark, from 320 px to a desktop, and at 200 % zoom."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from app.navigation import PAGES
from tests.browser.conftest import TIMEOUT_MS, generate, heading, sign_in
from tests.running import RunningStudio

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

RULES = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}}
# Width and height in CSS pixels, and the colours: 680 x 450 is 1360 x 900 at 200 % zoom.
LOOKS: tuple[tuple[int, int, Any], ...] = (
    (1360, 900, "light"),
    (1360, 900, "dark"),
    (680, 450, "light"),
    (320, 640, "dark"),
)


def faults(page: Page) -> list[str]:
    """What axe-core finds, one line each: the rule, and the first place."""
    found = Axe().run(page, options=RULES).response["violations"]
    return [f"{fault['id']} ({fault['impact']}): {fault['nodes'][0]['html'][:200]}" for fault in found]


def open_advanced(page: Page) -> None:
    page.get_by_text("Advanced").click()
    page.get_by_label("Steps").first.wait_for()


def open_viewer(page: Page) -> None:
    page.locator(".tile .open").first.click()
    page.get_by_role("dialog").wait_for()


# What a page shows when one asks for it, by its path.
STATES: dict[str, Callable[[Page], None]] = {"": open_advanced, "gallery": open_viewer}


@pytest.mark.parametrize(("width", "height", "colours"), LOOKS)
def test_no_page_has_a_fault_that_axe_finds(
    running: RunningStudio, chromium: Browser, width: int, height: int, colours: Any
) -> None:
    context = chromium.new_context(viewport={"width": width, "height": height}, color_scheme=colours)
    context.set_default_timeout(TIMEOUT_MS)
    page = context.new_page()
    sign_in(page, running.url, running.credentials["admin"])
    heading(page, "Create")
    generate(page, "a red apple")
    page.locator(".grid img").first.wait_for(timeout=120_000)
    wrong: dict[str, list[str]] = {}
    for entry in PAGES:
        page.goto(f"{running.url}/{entry.path}")
        page.locator(".st-key-page_head h1").wait_for()
        # What the page asks the services for comes after its title.
        page.locator("[data-testid='stApp'][data-test-script-state='notRunning']").wait_for()
        wrong[entry.title] = faults(page)
        if entry.path in STATES:
            STATES[entry.path](page)
            page.locator("[data-testid='stApp'][data-test-script-state='notRunning']").wait_for()
            wrong[f"{entry.title}, opened"] = faults(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert {name: found for name, found in wrong.items() if found} == {}
    # And it would find one.
    page.evaluate("document.body.append(document.createElement('img'))")
    assert [fault.split()[0] for fault in faults(page)] == ["image-alt"]
    context.close()
