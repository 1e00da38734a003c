"""A tour of the studio on desktop and phone; each stop saves a screenshot for docs/tour.md (`make tour`)."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from local.processes import ROOT
from tests.browser.conftest import TIMEOUT_MS, generate, heading, sign_in
from tests.running import RunningStudio

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]
# The real model, because the pictures appear in docs/tour.md.
MODEL = "pocket"

SHOTS = ROOT / "build/tour"
WIDEST_PX = 1360
# Subjects that pocket draws well, in its three styles.
PROMPTS = (
    "a red apple",
    "a rocket",
    "a blue butterfly",
    "a cactus, flat",
    "a mushroom",
    "a pizza",
    "a green turtle",
    "a violin",
    "a cupcake",
    "a fox",
    "a strawberry",
    "a sailboat",
)
# Whether all pictures are loaded, including those inside components.
LOADED = """() => {
  const all = (root) =>
    [...root.querySelectorAll("*")].flatMap((node) => [node, ...(node.shadowRoot ? all(node.shadowRoot) : [])]);
  return all(document).every((node) => node.tagName !== "IMG" || node.complete);
}"""
Stop = Callable[[Page, str], None]


@pytest.fixture
def stop(request: pytest.FixtureRequest) -> Stop:
    """`stop(page, name)`: saves a screenshot once the page is idle."""
    SHOTS.mkdir(parents=True, exist_ok=True)

    def taken(page: Page, name: str) -> None:
        page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
        page.evaluate("document.fonts.ready")
        for _ in range(300):
            if page.evaluate(LOADED):
                break
            page.wait_for_timeout(100)
        picture = Image.open(io.BytesIO(page.screenshot(animations="disabled"))).convert("RGB")
        picture.thumbnail((WIDEST_PX, 2 * WIDEST_PX))
        picture.save(SHOTS / f"{name}.webp", quality=78, method=6)

    return taken


def window(chromium: Browser, colors: Any, **more: Any) -> Page:
    """Open a page in a new browser context without cookies or cache."""
    context = chromium.new_context(
        **({"viewport": {"width": 1360, "height": 900}, "color_scheme": colors} | more)
    )
    context.set_default_timeout(TIMEOUT_MS)
    return context.new_page()


@pytest.mark.slow
def test_tour_on_a_desktop(running: RunningStudio, chromium: Browser, stop: Stop) -> None:
    sent = [
        running.ask("POST", "/v1/jobs", {"prompt": prompt, "seed": 7 + number})["id"]
        for number, prompt in enumerate(PROMPTS)
    ]
    deadline = time.monotonic() + 120
    while {running.ask("GET", f"/v1/jobs/{job}")["status"] for job in sent} != {"succeeded"}:
        assert time.monotonic() < deadline, "not all twelve pictures were drawn within two minutes"
        time.sleep(0.5)

    page = window(chromium, "light")
    page.goto(running.url)
    page.get_by_role("button", name="Sign in").wait_for()
    stop(page, "sign-in")
    sign_in(page, running.url, running.credentials["maker"])
    heading(page, "Create")
    generate(page, "{a red|a yellow} umbrella")
    page.locator("[class*=st-key-drawn_]").get_by_text("a yellow umbrella", exact=True).wait_for(
        timeout=120_000
    )
    stop(page, "create-light")
    page.get_by_role("link", name="Gallery").click()
    heading(page, "Gallery")
    page.locator(".tile img").nth(11).wait_for()
    for n in (1, 3, 4):
        page.locator(".tile .open").nth(n).click(modifiers=["Control"])
    expect(page.locator(".dock")).to_be_visible()
    stop(page, "gallery")
    page.keyboard.press("Escape")
    page.locator(".tile .open").nth(2).click(modifiers=["Control"])
    page.locator(".tile .open").nth(3).click(modifiers=["Control"])
    page.locator(".dock [data-act=compare]").click()
    page.get_by_role("slider").wait_for()
    stop(page, "compare")
    page.context.close()

    page = window(chromium, "dark")
    sign_in(page, running.url, running.credentials["maker"])
    heading(page, "Create")
    page.get_by_text("Fine", exact=True).click()
    with running.model_held():
        generate(page, "a dragon over a castle")
        page.get_by_role("button", name="Cancel").first.wait_for()
        stop(page, "create-dark")
    page.get_by_role("button", name="Cancel").wait_for(state="detached")
    page.get_by_role("link", name="Gallery").click()
    heading(page, "Gallery")
    page.locator(".tile .open").nth(5).click()
    page.get_by_role("dialog").get_by_role("button", name="Copy all").wait_for()
    stop(page, "viewer")
    page.keyboard.press("Escape")
    page.get_by_role("link", name="History").click()
    heading(page, "History")
    page.locator("[data-testid=stDataFrame] canvas").first.wait_for()
    stop(page, "history")
    page.get_by_role("link", name="Account").click()
    heading(page, "Account")
    page.get_by_text("API keys").first.wait_for()
    stop(page, "account")
    page.context.close()


@pytest.mark.slow
def test_tour_on_a_phone(running: RunningStudio, chromium: Browser, stop: Stop) -> None:
    telephone = {
        "viewport": {"width": 390, "height": 844},
        "has_touch": True,
        "is_mobile": True,
        "device_scale_factor": 2,
    }
    page = window(chromium, "dark", **telephone)
    sign_in(page, running.url, running.credentials["maker"])
    heading(page, "Create")
    page.get_by_role("button", name="Generate").wait_for()
    stop(page, "phone-create")
    page.get_by_test_id("stExpandSidebarButton").tap()
    page.get_by_role("link", name="Gallery").tap()
    heading(page, "Gallery")
    page.locator(".tile img").first.wait_for()
    stop(page, "phone-gallery")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.context.close()


def test_the_tour_page_shows_every_stop() -> None:
    shown = set(
        re.findall(r"\(images/tour/([\w-]+)\.webp\)", (ROOT / "docs/tour.md").read_text(encoding="utf-8"))
    )
    taken = set(
        re.findall(
            r'stop\(page, "([\w-]+)"\)', (ROOT / "tests/browser/test_tour.py").read_text(encoding="utf-8")
        )
    )

    assert shown == taken
    assert {file.stem for file in (ROOT / "docs/images/tour").glob("*.webp")} == shown
