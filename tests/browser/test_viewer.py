"""Tests of the viewer in a browser: keys, zoom, copying, comparison, reproduction, and a public link."""

from __future__ import annotations

import re
import urllib.request

import pytest
from playwright.sync_api import Browser, Page, expect

from services.formats.png_metadata import texts
from tests.browser.conftest import TIMEOUT_MS, heading, sign_in
from tests.browser.test_accessibility import faults
from tests.running import RunningStudio

pytestmark = [pytest.mark.browser, pytest.mark.timeout(400)]


def draw(running: RunningStudio, prompt: str, **asked: object) -> None:
    job = running.ask("POST", "/v1/jobs", {"prompt": prompt, "steps": 4} | asked, Prefer="wait=60")
    assert job["status"] == "succeeded"


def focus(page: Page) -> str:
    """Return the class of the focused element, also inside a component."""
    return str(page.evaluate("(document.activeElement.shadowRoot ?? document).activeElement.className"))


def test_a_picture_is_zoomed_copied_reproduced_compared_and_shared(
    running: RunningStudio, page: Page, chromium: Browser
) -> None:
    draw(running, "a red apple", seed=7, count=2)
    draw(running, "a rocket", seed=8)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    sign_in(page, f"{running.url}/gallery", running.credentials["maker"])
    heading(page, "Gallery")
    page.locator(".tile .open").nth(1).click()
    dialog = page.get_by_role("dialog").first
    place, level = page.locator(".stage .place"), page.locator(".stage .level")
    dialog.get_by_role("button", name="Copy all").wait_for()
    expect(place).to_contain_text("2 of ")
    assert "stage" in focus(page), "the picture has the focus at once"

    # Keys: arrows change the picture, or move it when it is enlarged.
    page.keyboard.press("ArrowRight")
    expect(place).to_contain_text("3 of ")
    assert "stage" in focus(page), "a step keeps the focus"
    page.keyboard.press("+")
    expect(level).to_have_text("125 %")
    before = page.locator(".stage .picture").get_attribute("style")
    page.keyboard.press("ArrowRight")
    assert page.locator(".stage .picture").get_attribute("style") != before
    expect(place).to_contain_text("3 of ")
    page.keyboard.press("0")
    expect(level).to_have_text("Fit")
    page.locator(".stage").dblclick(position={"x": 300, "y": 300})
    expect(level).to_have_text("300 %")
    page.mouse.wheel(0, 4000)
    page.keyboard.press("0")
    page.keyboard.press("?")
    expect(page.locator(".stage .help")).to_be_visible()
    assert faults(page) == []
    page.keyboard.press("Escape")
    expect(page.locator(".stage .help")).to_be_hidden()
    expect(dialog).to_be_visible()
    page.keyboard.press(".")
    dialog.get_by_role("button", name="Starred").wait_for()

    dialog.get_by_role("button", name="Copy: Seed").click()
    assert page.evaluate("navigator.clipboard.readText()") in {"7", "8"}
    dialog.get_by_role("button", name="Copy all").click()
    expect(page.locator(".facts .live")).to_have_text("Parameters copied")
    assert page.evaluate("navigator.clipboard.readText()").startswith("a red apple\nSteps: 4, Sampler: DDIM")

    # Tags typed quickly are all kept, although the page responds to the first while the second is typed.
    dialog.get_by_role("combobox", name="Tags").click()
    for tag in ("breakfast", "orchard", "wallpaper"):
        page.keyboard.type(tag, delay=20)
        page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    # Clicks are processed in order, so the tags are stored after this one.
    dialog.get_by_role("button", name="Starred").click()
    dialog.get_by_role("button", name=re.compile("^Star( |$)")).wait_for()
    kept = running.ask("GET", f"/v1/images/{re.search('image=([^&]+)', page.url)[1]}")
    assert kept["tags"] == ["breakfast", "orchard", "wallpaper"]

    # A reproduction from the recipe: the pixels are identical, and the origin is shown.
    dialog.get_by_role("button", name="Draw again").click()
    dialog.get_by_role("button", name="Draw it again and compare").click()
    dialog.get_by_text("Identical: all 16,384 pixels are the same.").wait_for()
    dialog.get_by_text("Device: cpu").wait_for()
    assert faults(page) == []
    dialog.get_by_role("button", name="Compare the two").click()
    slider = page.get_by_role("slider")
    expect(slider).to_have_attribute("aria-valuenow", "50")
    expect(page).to_have_url(re.compile("compare="))
    assert faults(page) == []
    slider.press("End")
    expect(slider).to_have_attribute("aria-valuenow", "100")
    slider.press("Shift+ArrowLeft")
    expect(slider).to_have_attribute("aria-valuenow", "90")
    page.get_by_role("button", name="Side by side").click()
    expect(page.locator(".stage .knob")).to_be_hidden()
    page.reload()
    expect(slider).to_have_attribute("aria-valuenow", "50")
    page.get_by_role("button", name="Open left").click()
    page.locator(".stage .picture").wait_for()
    expect(page).to_have_url(re.compile(r"\?image=[^&]*$"))

    # A link for people without an account, until it is revoked.
    dialog.get_by_role("button", name="Share").click()
    dialog.get_by_role("button", name="Create link").click()
    address = dialog.locator("code").inner_text().strip()
    assert faults(page) == []
    stranger = chromium.new_context(java_script_enabled=False, viewport={"width": 390, "height": 844})
    stranger.set_default_timeout(TIMEOUT_MS)
    theirs = stranger.new_page()
    theirs.goto(address)
    picture = theirs.get_by_role("img")
    picture.wait_for()
    with urllib.request.urlopen(str(picture.get_attribute("src")), timeout=30) as file:
        assert texts(file.read()) == {}
    assert "red apple" not in theirs.content() and theirs.context.cookies() == []
    dialog.get_by_role("button", name="Stop sharing").click()
    expect(dialog.get_by_role("button", name="Stop sharing")).to_have_count(0)
    # The clicked button is gone and no element has the focus, but Escape still closes the dialog.
    page.evaluate(
        "() => { document.activeElement.blur();"
        " document.body.dispatchEvent(new KeyboardEvent('keydown', { key: 'Escape', bubbles: true })) }"
    )
    expect(dialog).to_have_count(0)
    theirs.reload()
    theirs.get_by_text("This picture is not shared, or the link has expired").wait_for()
    stranger.close()


def test_touch_gestures_on_a_phone_compare_two_pictures_swipe_and_zoom(
    running: RunningStudio, chromium: Browser
) -> None:
    draw(running, "a rocket", seed=9, count=2)
    context = chromium.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    context.set_default_timeout(TIMEOUT_MS)
    page = context.new_page()
    sign_in(page, f"{running.url}/gallery", running.credentials["maker"])
    heading(page, "Gallery")
    page.locator(".tile .open").nth(0).click(modifiers=["Control"])
    expect(page.locator(".dock [data-act=compare]")).to_be_hidden()
    page.locator(".tile .open").nth(1).click(modifiers=["Control"])
    page.locator(".dock [data-act=compare]").tap()
    stage = page.locator(".stage")
    page.get_by_role("slider").wait_for()
    box = stage.bounding_box()
    assert box is not None
    page.touchscreen.tap(box["x"] + box["width"] / 4, box["y"] + 40)
    expect(page.get_by_role("slider")).to_have_attribute("aria-valuenow", "25")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.get_by_role("button", name="Open left").tap()
    place = page.locator(".stage .place")
    expect(place).to_contain_text("1 of ")
    box = stage.bounding_box()
    assert box is not None
    touch = context.new_cdp_session(page)
    y = box["y"] + box["height"] / 3
    for kind, x in (("touchStart", 300), ("touchMove", 200), ("touchMove", 90), ("touchEnd", None)):
        points = [] if x is None else [{"x": x, "y": y}]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    expect(place).to_contain_text("2 of ")

    # A horizontal or vertical pinch zooms in without changing the picture, and so does a double tap.
    box = stage.bounding_box()
    assert box is not None
    x, y, level = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, stage.locator(".level")
    for across, down in ((1, 0), (0, 1)):
        for kind, far in (("touchStart", 20), ("touchMove", 40), ("touchMove", 80), ("touchEnd", None)):
            sides = () if far is None else (-far, far)
            points = [{"x": x + across * side, "y": y + down * side, "id": n} for n, side in enumerate(sides)]
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        expect(level).to_have_text("400 %")
        assert page.evaluate("window.visualViewport.scale") == 1
        level.tap()
        expect(level).to_have_text("Fit")
    for kind in ("touchStart", "touchEnd") * 2:
        points = [{"x": x, "y": y}] if kind == "touchStart" else []
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    expect(level).to_have_text("300 %")
    expect(place).to_contain_text("2 of ")
    context.close()
