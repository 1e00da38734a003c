"""Tests of every page and dialog with axe-core (WCAG 2.2 AA): light, dark, 320 px to desktop, and 200 % zoom."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, expect

from app.navigation import PAGES
from tests import hostile_files as files
from tests.browser.conftest import generate, heading, sign_in
from tests.running import RunningStudio

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(600)]

RULES = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}}
CONTRAST = {"runOnly": {"type": "rule", "values": ["color-contrast"]}}
NO_BAR = """() => {
  for (const bar of document.querySelectorAll('[data-testid="stLayoutWrapper"]:has(> .st-key-press_bar)'))
    bar.style.position = "static"
}"""
# Resolves when all animations have finished, or after 1 s if one is endless, such as a spinner.
FADED = """() => Promise.race([
  Promise.all(document.getAnimations().map((one) => one.finished.catch(() => {}))),
  new Promise((resolve) => setTimeout(resolve, 1000)),
])"""
# Width and height in CSS pixels: 680 x 450 is 1360 x 900 at 200 % zoom.
SIZES = ((1360, 900), (680, 450), (320, 640))


def faults(page: Page, rules: dict[str, Any] = RULES) -> list[str]:
    """Return axe-core's findings, one line each: the rule and the first element."""
    # What still fades in or out has another contrast for a moment.
    page.evaluate(FADED)
    # Make the sticky bar static: users can scroll the content that it covers into view.
    page.evaluate(NO_BAR)
    found = Axe().run(page, options=rules).response["violations"]
    return [f"{fault['id']} ({fault['impact']}): {fault['nodes'][0]['html'][:200]}" for fault in found]


def faults_in_both_colors(page: Page) -> list[str]:
    """Check the current theme, then the other one for color rules only; the page stays in the other theme."""
    found = faults(page)
    now = page.locator(".stApp").evaluate("app => getComputedStyle(app).colorScheme")
    other: Any = "light" if now == "dark" else "dark"
    page.emulate_media(color_scheme=other)
    expect(page.locator(".stApp")).to_have_css("color-scheme", other)
    # Colors change in a transition.
    page.evaluate(FADED)
    return found + [f"{other}: {fault}" for fault in faults(page, CONTRAST)]


def still(page: Page) -> None:
    """Wait until no script run is in progress."""
    page.locator("[data-testid='stApp'][data-test-script-state='notRunning']").wait_for()


def open_advanced(page: Page) -> None:
    page.get_by_text("Advanced").click()
    page.get_by_label("Steps").first.wait_for()


def open_viewer(page: Page) -> None:
    page.locator(".tile .open").first.click()
    page.get_by_role("dialog").wait_for()


# Page path -> action that opens more of the page.
STATES: dict[str, Callable[[Page], None]] = {"": open_advanced, "gallery": open_viewer}


def test_axe_finds_no_violation_on_any_page(running: RunningStudio, page: Page) -> None:
    page.emulate_media(color_scheme="light")
    page.goto(running.url)
    page.get_by_role("button", name="Sign in").wait_for()
    wrong = {"Sign-in": faults_in_both_colors(page)}
    sign_in(page, running.url, running.credentials["admin"])
    heading(page, "Create")
    generate(page, "a red apple")
    page.locator(".grid img").first.wait_for(timeout=120_000)
    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        for entry in PAGES:
            page.goto(f"{running.url}/{entry.path}")
            page.locator(".st-key-page_head h1").wait_for()
            # Content from the services appears after the title.
            still(page)
            at = f"{entry.title}, {width} px"
            wrong[at] = faults_in_both_colors(page)
            if entry.path in STATES:
                STATES[entry.path](page)
                still(page)
                wrong[f"{at}, opened"] = faults_in_both_colors(page)
            assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert {name: found for name, found in wrong.items() if found} == {}
    # Control: a planted violation is found.
    page.evaluate("document.body.append(document.createElement('img'))")
    assert [fault.split()[0] for fault in faults(page)] == ["image-alt"]


class Looks:
    """Checks the current view with axe in both themes and collects the findings."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.seen: list[str] = []
        self.wrong: dict[str, list[str]] = {}

    def look(self, at: str, shown: Locator) -> None:
        """Wait for `shown` and for the page to be idle, then check."""
        shown.first.wait_for()
        still(self.page)
        self.seen.append(at)
        if found := faults_in_both_colors(self.page):
            self.wrong[at] = found

    def close(self) -> None:
        """Close the open dialog or popover."""
        self.page.keyboard.press("Escape")
        expect(self.page.get_by_role("dialog")).to_have_count(0)


def test_axe_finds_no_violation_in_any_dialog(running: RunningStudio, page: Page, chromium: Browser) -> None:
    looks = Looks(page)
    page.emulate_media(color_scheme="light")
    sign_in(page, running.url, running.credentials["maker"])
    heading(page, "Create")
    _in_the_form(page, looks)
    _in_the_gallery(page, looks)
    _in_a_share(page, looks, chromium)
    _in_the_trash(page, looks)
    _in_history_and_account(page, looks)
    assert looks.wrong == {}
    assert len(looks.seen) == len(set(looks.seen)) == 28


def _in_the_form(page: Page, looks: Looks) -> None:
    page.locator(".st-key-g_count").get_by_text("2", exact=True).click()
    generate(page, "a red apple")
    page.locator(".grid img").nth(1).wait_for(timeout=120_000)
    page.get_by_role("button", name="Lists and templates").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("not a name!")
    dialog.get_by_label("Entries, one per line").fill("a\nb")
    dialog.get_by_role("button", name="Save").click()
    looks.look("a list that is refused", dialog.get_by_role("alert"))
    dialog.get_by_text("Templates", exact=True).click()
    looks.look("templates", dialog.get_by_role("textbox", name="Template"))
    looks.close()
    page.locator(".st-key-generate_form").get_by_role("button", name="Recent").click()
    looks.look("recent prompts", page.locator(".st-key-recent_rows"))
    page.keyboard.press("Escape")

    page.get_by_text("Settings from a picture").click()
    drop = page.locator(".st-key-recall_box input[type=file]")
    drop.set_input_files({"name": "a.png", "mimeType": "image/png", "buffer": files.SVG})
    looks.look("a file without settings", page.get_by_text("This is no PNG"))
    recipe = files.png({"parameters": files.A1111})
    drop.set_input_files({"name": "b.png", "mimeType": "image/png", "buffer": recipe})
    looks.look("settings from a picture", page.locator(".st-key-recall_uses"))
    page.locator(".st-key-recall_close").get_by_role("button").click()
    page.get_by_text("Start from a picture").click()
    drop = page.locator(".st-key-source_box input[type=file]")
    drop.set_input_files({"name": "c.png", "mimeType": "image/png", "buffer": files.png(size=(64, 48))})
    page.locator(".painter .picture").wait_for()
    page.get_by_text("Paint a mask").click()
    looks.look("the mask painter", page.locator(".painter canvas.mask"))
    page.get_by_role("button", name="From a file").click()
    drop = page.get_by_test_id("stPopoverBody").locator("input[type=file]")
    drop.set_input_files({"name": "d.png", "mimeType": "image/png", "buffer": files.SVG})
    looks.look("an invalid mask", page.get_by_text("The mask must be a PNG"))
    page.keyboard.press("Escape")


def _in_the_gallery(page: Page, looks: Looks) -> None:
    page.get_by_role("link", name="Gallery").click()
    heading(page, "Gallery")
    dialog, tiles, dock = page.get_by_role("dialog"), page.locator(".tile .open"), page.locator(".dock")
    page.get_by_role("button", name="Filters").click()
    looks.look("the filters", page.get_by_role("combobox", name="Rating"))
    page.keyboard.press("Escape")
    for n in (0, 1):
        tiles.nth(n).click(modifiers=["Control"])
    dock.get_by_role("button", name="Rate and tag").click()
    looks.look("rate and tag", dialog.get_by_role("combobox", name="Add tags"))
    looks.close()
    dock.get_by_role("button", name="Album").click()
    name = dialog.get_by_role("combobox", name="Add to")
    name.fill("Fruit")
    name.press("Enter")
    looks.look("add to an album", dialog.get_by_role("button", name="Save"))
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_have_count(0)
    dock.get_by_role("button", name="ZIP").click()
    looks.look("a ZIP to create", dialog.get_by_role("button", name="Create ZIP"))
    dialog.get_by_role("button", name="Create ZIP").click()
    looks.look("a ZIP to download", dialog.get_by_role("link", name="Download"))
    looks.close()
    dock.get_by_role("button", name="Compare").click()
    looks.look("a comparison", page.get_by_role("slider"))
    page.get_by_role("button", name="Open left").click()
    dialog.get_by_role("button", name="Variations").click()
    looks.look("variations", page.locator(".st-key-viewer_panel_box"))
    page.locator(".st-key-viewer_panel_compare").get_by_role("button").click()
    looks.look("another to compare with", page.get_by_text("Compare with", exact=True))


def _in_a_share(page: Page, looks: Looks, chromium: Browser) -> None:
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Share").click()
    dialog.get_by_text("Include the prompt").click()
    dialog.get_by_role("button", name="Create link").click()
    looks.look("a share", dialog.get_by_role("button", name="Stop sharing"))
    address = dialog.get_by_test_id("stCode").filter(has_text="http").first.inner_text().strip()
    looks.close()
    # The public page has no script and follows the system's color scheme, so nothing has to be waited for.
    for colors in ("light", "dark"):
        stranger = chromium.new_context(viewport={"width": 390, "height": 844}, color_scheme=colors)
        theirs = stranger.new_page()
        for words, path in (("Shared until", ""), ("This picture is not shared", "x")):
            theirs.goto(address + path)
            theirs.get_by_text(words).first.wait_for()
            looks.seen.append(f"{words}, {colors}")
            if found := faults(theirs):
                looks.wrong[looks.seen[-1]] = found
        stranger.close()


def _in_the_trash(page: Page, looks: Looks) -> None:
    dialog, tiles, dock = page.get_by_role("dialog"), page.locator(".tile .open"), page.locator(".dock")
    page.get_by_text("Albums", exact=True).first.click()
    page.get_by_role("button", name="New album").click()
    looks.look("the albums, and a new one", page.get_by_label("Name", exact=True))
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Open the album Fruit, 2 pictures").click()
    page.get_by_role("button", name="Change").click()
    looks.look("an album to rename", page.get_by_role("button", name="Rename"))
    page.keyboard.press("Escape")
    tiles.first.click(modifiers=["Control"])
    dock.get_by_role("button", name="Delete").click()
    expect(tiles).to_have_count(1)
    page.get_by_text("Trash", exact=True).click()
    # Until then the tile is the album's, and a click on it opens no deleted picture.
    page.get_by_text("30 days left").wait_for()
    tiles.first.click()
    page.locator(".st-key-trash_erase").get_by_role("button").click()
    looks.look("a picture in the trash, to be erased", page.get_by_text("This cannot be undone."))
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    tiles.first.click(modifiers=["Control"])
    dock.get_by_role("button", name="Delete permanently").click()
    looks.look("pictures to be erased", dialog.get_by_text("This cannot be undone."))
    looks.close()
    page.get_by_role("button", name="Empty the trash").click()
    looks.look("the trash to be emptied", dialog.get_by_text("Permanently delete everything in the trash?"))
    looks.close()


def _in_history_and_account(page: Page, looks: Looks) -> None:
    dialog = page.get_by_role("dialog")
    page.get_by_role("link", name="History").click()
    heading(page, "History")
    page.get_by_role("button", name="Delete everything").click()
    dialog.get_by_role("button", name="Delete everything").click()
    looks.look("everything to be deleted", dialog.get_by_text("Nothing was deleted."))
    looks.close()
    page.get_by_role("link", name="Account").click()
    heading(page, "Account")
    page.get_by_label("Name of the new key").fill("for axe")
    page.get_by_role("button", name="Create key").click()
    looks.look("a new key", dialog.get_by_text("Copy it now"))
    looks.close()
    page.get_by_role("button", name="Revoke").first.click()
    looks.look("a key to be revoked", page.get_by_text("Programs that use this key lose access"))
