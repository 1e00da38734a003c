"""The colours that a person chose are worn by every page, in a new window too."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import TIMEOUT_MS, heading, sign_in
from tests.running import RunningStudio

pytestmark = [pytest.mark.browser, pytest.mark.timeout(400)]


def wears(page: Page, colours: str) -> None:
    """Waits until the page is light or dark."""
    expect(page.locator(".stApp")).to_have_css("color-scheme", colours)


def test_dark_is_chosen_once_and_worn_everywhere(
    running: RunningStudio, page: Page, chromium: Browser
) -> None:
    page.emulate_media(color_scheme="light")
    sign_in(page, f"{running.url}/account", running.credentials["admin"])
    heading(page, "Account")
    wears(page, "light")
    page.get_by_text("Dark", exact=True).click()
    wears(page, "dark")
    heading(page, "Account")
    expect(page.get_by_role("radio", name="Dark").or_(page.get_by_role("button", name="Dark"))).to_have_count(
        1
    )
    page.get_by_role("link", name="Gallery").click()
    heading(page, "Gallery")
    page.reload()
    heading(page, "Gallery")
    wears(page, "dark")

    second = chromium.new_context(color_scheme="light")
    second.set_default_timeout(TIMEOUT_MS)
    other = second.new_page()
    sign_in(other, running.url, running.credentials["admin"])
    wears(other, "dark")
    heading(other, "Create")
    second.close()

    page.get_by_role("link", name="Account").click()
    heading(page, "Account")
    page.get_by_text("As the system", exact=True).click()
    wears(page, "light")
    heading(page, "Account")
