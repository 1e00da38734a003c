"""Tests that the chosen theme and language apply to every page, also in a new window."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import TIMEOUT_MS, heading, sign_in
from tests.running import RunningStudio

pytestmark = [pytest.mark.browser, pytest.mark.timeout(400)]


def wears(page: Page, colors: str) -> None:
    """Wait until the page is light or dark."""
    expect(page.locator(".stApp")).to_have_css("color-scheme", colors)


def speak(page: Page, label: str, language: str) -> None:
    """Choose a language on the account page."""
    page.get_by_role("combobox", name=re.compile(label)).click()
    page.get_by_role("option", name=language, exact=True).click()


def test_a_chosen_theme_and_language_apply_to_all_pages_and_windows(
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
    speak(page, "Language", "Deutsch")
    heading(page, "Konto")
    expect(page.locator("html")).to_have_attribute("lang", "de")
    page.get_by_role("link", name="Galerie").click()
    heading(page, "Galerie")
    page.reload()
    heading(page, "Galerie")
    expect(page.get_by_text("Deine Galerie ist leer.")).to_be_visible()
    wears(page, "dark")

    second = chromium.new_context(color_scheme="light", locale="fr-FR")
    second.set_default_timeout(TIMEOUT_MS)
    other = second.new_page()
    sign_in(other, running.url, running.credentials["admin"], button="Se connecter")
    wears(other, "dark")
    heading(other, "Erstellen")
    other.get_by_label("Prompt", exact=True).fill("x" * 2001)
    other.keyboard.press("Control+Enter")
    other.get_by_text("Der Prompt hat 2001 Zeichen").wait_for()
    other.get_by_role("link", name="Konto").click()
    heading(other, "Konto")
    speak(other, "Sprache", "Wie der Browser")
    heading(other, "Compte")
    second.close()

    page.reload()
    heading(page, "Gallery")
    page.get_by_role("link", name="Account").click()
    heading(page, "Account")
    page.get_by_text("Same as system", exact=True).click()
    wears(page, "light")
    heading(page, "Account")
