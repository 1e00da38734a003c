"""Measures how long the first page takes in a new browser until a prompt can be typed and sent."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from bench.table import print_table
from bench.whole_studio import COOKIE, ask, running_studio, sign_cookie
from local.bootstrap import CHROMIUM_NAMES

VISITS = 20
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
LIMIT_S = 3.0


def measure(folder: Path) -> None:
    """Starts a studio, visits it each time with an empty cache, and prints one table."""
    chromium = next((found for name in CHROMIUM_NAMES if (found := shutil.which(name))), None)
    if chromium is None:
        raise RuntimeError("Chromium is missing: `sudo apt-get install chromium`")
    with running_studio(folder / "home") as (url, home), sync_playwright() as playwright:
        person = json.loads((home / "credentials.json").read_text())["maker"]
        cookie = sign_cookie(url, home, ask(url, person["api_key"], "GET", "/v1/me"))
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS, headless=True)
        seconds = sorted(_visit(browser, url, cookie) for _ in range(VISITS))
        browser.close()
    print_table(
        f"The first page in a new browser, {VISITS} visits, seconds until the button can be pressed",
        ["median", "p95", "target"],
        [
            [
                f"{seconds[len(seconds) // 2]:.2f}",
                f"{seconds[int(len(seconds) * 0.95) - 1]:.2f}",
                f"{LIMIT_S:g}",
            ]
        ],
    )


def _visit(browser: Browser, url: str, cookie: str) -> float:
    context = browser.new_context(viewport={"width": 1360, "height": 900})
    context.add_cookies([{"name": COOKIE, "value": cookie, "url": url}])
    page = context.new_page()
    began = time.perf_counter()
    page.goto(url, wait_until="commit")
    page.locator(".st-key-generate button:enabled").wait_for()
    took = time.perf_counter() - began
    context.close()
    return took
