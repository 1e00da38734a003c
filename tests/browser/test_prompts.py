"""Tests of several pictures with one click: a list is created, alternatives are drawn, a prompt is reused."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import heading, sign_in
from tests.running import RunningStudio

pytestmark = [pytest.mark.browser, pytest.mark.timeout(400)]

HOSTILE = "pear ![x](http://evil.example/m.png) <img src=//evil.example/h> $x^2$"


def test_a_list_and_a_template_draw_several_pictures_listed_as_recent_prompts(
    running: RunningStudio, page: Page
) -> None:
    hosts: set[str] = set()
    page.on("request", lambda request: hosts.add(urlsplit(request.url).netloc))
    # An account without other jobs, because recent prompts are counted.
    sign_in(page, running.url, running.credentials["admin"])
    heading(page, "Create")
    page.get_by_role("button", name="Lists and templates").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("fruit")
    dialog.get_by_label("Entries, one per line").fill(f"apple\n{HOSTILE}")
    dialog.get_by_role("button", name="Save").click()
    dialog.get_by_text("Saved 2 entries").wait_for()
    dialog.get_by_text("Templates", exact=True).click()
    dialog.get_by_label("Name").fill("simple")
    dialog.get_by_role("textbox", name="Template").fill("a simple {prompt}")
    dialog.get_by_role("button", name="Save").click()
    dialog.get_by_text("Saved. Choose").wait_for()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)

    form = page.locator(".st-key-generate_form")
    form.get_by_role("combobox", name="Template").click()
    page.get_by_role("option", name="simple").click()
    form.get_by_text("a simple {prompt}", exact=True).wait_for()
    prompt = page.get_by_label("Prompt", exact=True)
    prompt.fill("{red|blue} __fruit__")
    prompt.press("Tab")
    form.get_by_text("4 prompts x 1 picture = 4 pictures").wait_for()
    form.get_by_text("Preview 4 prompts").click()
    expect(form.get_by_text("1. a simple red apple")).to_contain_text(f"4. a simple blue {HOSTILE}")
    form.get_by_role("button", name="Generate").click()
    for drawn in (
        "a simple red apple",
        f"a simple red {HOSTILE}",
        "a simple blue apple",
        f"a simple blue {HOSTILE}",
    ):
        page.locator("[class*=st-key-drawn_]").get_by_text(drawn, exact=True).wait_for(timeout=120_000)

    form.get_by_role("button", name="Recent").click()
    rows = page.locator(".st-key-recent_rows")
    expect(rows.get_by_role("button", name="Use in the form")).to_have_count(4)
    rows.get_by_role("button", name="Star it").last.click()
    rows.get_by_role("button", name="Remove the star").wait_for()
    page.reload()
    form.get_by_role("button", name="Recent").click()
    expect(rows.get_by_role("button", name="Remove the star")).to_have_count(1)
    rows.get_by_role("button", name="Use in the form").first.click()
    expect(prompt).to_have_value("a simple red apple")
    expect(rows).to_have_count(0)
    hosts.discard("")
    assert hosts <= {urlsplit(running.url).netloc, f"localhost:{running.ports()['cloud']}"}, hosts
