"""Tests of a running job's tab title and browser notification, and of picking and finishing drafts."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.conftest import generate, heading, sign_in
from tests.running import RunningStudio

pytestmark = [pytest.mark.browser, pytest.mark.timeout(400)]

# A headless browser has no notifications: this records them and grants permission when the page requests it.
NOTIFICATIONS = """
window.shown = []
window.Notification = class {
  static permission = "default"
  static async requestPermission() {
    window.askedByPress = navigator.userActivation.isActive
    return (this.permission = "granted")
  }
  constructor(title, options) { window.shown.push([title, options.body]) }
}
window.away = false
const focused = document.hasFocus.bind(document)
document.hasFocus = () => !window.away && focused()
"""


def test_the_tab_title_shows_progress_and_a_notification_reports_the_end(
    running: RunningStudio, context: BrowserContext, page: Page
) -> None:
    context.add_init_script(NOTIFICATIONS)
    sign_in(page, running.url, running.credentials["maker"])
    heading(page, "Create")
    page.locator(".st-key-press_drafts").wait_for()
    running.wake_model()
    with running.model_held():
        generate(page, "a secret apple")
        expect(page).to_have_title(re.compile(r"^\(1\) drawing… – "))
        page.get_by_role("button", name="Notify me when it is done").click()
        expect(page.get_by_role("button", name="Notify me when it is done")).to_be_hidden()
        assert page.evaluate("window.askedByPress") is True
        # A second window shows the same job.
        second = context.new_page()
        second.goto(running.url)
        expect(second).to_have_title(re.compile(r"^\(1\) drawing… – "))
        expect(second.get_by_role("button", name="Cancel")).to_have_count(1)
        second.close()
        page.evaluate("window.away = true")
    expect(page).to_have_title(re.compile("^Done – "))
    page.wait_for_function("window.shown.length === 1")
    assert page.evaluate("window.shown") == [["Atelier", "Your pictures are done."]]


def test_drafts_of_two_prompts_are_picked_and_finished_side_by_side(
    running: RunningStudio, page: Page
) -> None:
    sign_in(page, running.url, running.credentials["maker"])
    heading(page, "Create")
    running.wake_model()
    page.locator(".st-key-press_drafts").get_by_text("4", exact=True).click()
    expect(page.get_by_text("4 drafts of 6 steps, about $")).to_be_visible()
    page.get_by_label("Prompt", exact=True).fill("a {rocket|<b>secret</b> apple}")
    page.get_by_label("Prompt", exact=True).blur()
    expect(page.get_by_text("2 prompts x 2 drafts = 4 drafts of 6 steps, about $")).to_be_visible()
    page.get_by_label("Prompt", exact=True).press("Control+Enter")
    drafts = page.get_by_role("checkbox", name=re.compile("^Draft "))
    expect(drafts).to_have_count(4, timeout=120_000)
    for prompt in ("a rocket", "a <b>secret</b> apple"):
        assert page.get_by_role("heading", name=prompt, exact=True).is_visible()
        expect(page.get_by_role("group", name=f"Drafts of {prompt}").get_by_role("checkbox")).to_have_count(2)
    drafts.nth(1).click()
    # The arrow keys move from the drafts of one prompt to those of the next.
    drafts.nth(1).press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(drafts.nth(3)).to_be_focused()
    page.keyboard.press("Space")
    page.get_by_role("button", name="Finish 2 at full quality").wait_for()
    assert "picks=" in page.url
    page.reload()
    heading(page, "Create")
    expect(drafts.nth(1)).to_have_attribute("aria-checked", "true")
    expect(drafts.nth(2)).to_have_attribute("aria-checked", "false")
    page.set_viewport_size({"width": 390, "height": 844})
    wider = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(wider) <= 0
    # The button stays in view although the last drafts are below.
    drafts.nth(0).scroll_into_view_if_needed()
    expect(page.get_by_role("button", name="Finish 2 at full quality")).to_be_in_viewport()
    page.set_viewport_size({"width": 1360, "height": 900})
    page.get_by_role("button", name="Finish 2 at full quality").dblclick()
    expect(page.get_by_text("Draft, then full quality with 12 steps")).to_have_count(2, timeout=120_000)
    assert "picks=" not in page.url
    made = running.ask("GET", "/v1/jobs?limit=10")["data"]
    finals = [job for job in made if job["final_of"]]
    assert sorted(
        (job["input"]["prompt"], job["input"]["count"], job["input"]["steps"]) for job in finals
    ) == [
        ("a <b>secret</b> apple", 1, 12),
        ("a rocket", 1, 12),
    ]
    drafts.nth(1).click()
    expect(
        page.get_by_text("All of these are already finished or being drawn. You are not charged again.")
    ).to_be_visible()
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate(wider) <= 0
