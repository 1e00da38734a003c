"""Fixtures: Chromium, whole studios as `make run` starts them, with or without a model, and single servers."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Error, Page, expect, sync_playwright

from local.bootstrap import CHROMIUM_NAMES
from local.processes import LOOPBACK, ROOT, STUDIO_PYTHON, Child, answers, any_free_port
from tests.cloud import EmbeddedCloud, studio_environment
from tests.running import WITHOUT_A_MODEL, RunningStudio

# Chromium renders slowly while the model uses both cores. Passing tests do not take longer: a wait ends when its
# condition holds. The default of `expect` is 5 s.
TIMEOUT_MS = 60_000
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
STUDIO_START_S = 60.0
STORIES = ROOT / "build" / "stories"
SCREENSHOT_MS = 5000


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The system's Chromium; tests fail, and are not skipped, if it is missing.

    Module scope, because Playwright's event loop occupies this thread meanwhile, and a test of another module
    could not start its own loop.
    """
    folders = [Path(folder) for folder in os.environ["PATH"].split(os.pathsep)]
    found = [folder / name for name in CHROMIUM_NAMES for folder in folders if (folder / name).exists()]
    assert found, "Chromium is missing: `sudo apt-get install chromium`"
    expect.set_options(timeout=TIMEOUT_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found[0], args=FLAGS, headless=True)
        yield browser
        browser.close()


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    """A browser context without cookies or cache."""
    context = chromium.new_context(viewport={"width": 1360, "height": 900}, accept_downloads=True)
    context.set_default_timeout(TIMEOUT_MS)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A page of the context; at the end of the test, passed or failed, its screenshot is saved in build/stories."""
    page = context.new_page()
    yield page
    # A page that is closed, or whose browser is gone, has no screenshot; this must not fail the test.
    with suppress(Error):
        page.screenshot(path=STORIES / f"{request.node.name}.png", timeout=SCREENSHOT_MS)


@pytest.fixture(scope="session")
def studio_without_a_model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStudio]:
    """One whole studio with a stub model for all tests to which the content of pictures does not matter."""
    studio = RunningStudio(tmp_path_factory.mktemp("stub") / "home", launcher=WITHOUT_A_MODEL)
    yield studio
    studio.stop()


@pytest.fixture(scope="session")
def studio_with_pocket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStudio]:
    """One whole studio with the pocket model for all tests that check the content of pictures."""
    studio = RunningStudio(tmp_path_factory.mktemp("studio") / "home")
    yield studio
    studio.stop()


@pytest.fixture(scope="module")
def running(request: pytest.FixtureRequest) -> RunningStudio:
    """A whole studio with a separate maker and admin for each test file, so that files do not affect each other.

    It has no real model unless the file sets `MODEL = "pocket"`.
    """
    real = getattr(request.module, "MODEL", None) == "pocket"
    studio: RunningStudio = request.getfixturevalue(
        "studio_with_pocket" if real else "studio_without_a_model"
    )
    studio.welcome(request.module.__name__.rpartition("test_")[2])
    return studio


@pytest.fixture
def start_studio(
    cloud: EmbeddedCloud, tmp_path: Path
) -> Callable[..., AbstractContextManager[tuple[str, dict[str, str]]]]:
    """`with start_studio(AUTH_MODE="local") as (url, environment)`: a freshly started server without a model."""

    @contextmanager
    def started(**variables: str) -> Iterator[tuple[str, dict[str, str]]]:
        port = any_free_port()
        url = f"http://localhost:{port}"
        environment = studio_environment(cloud.make_resources(url), public_url=url) | variables
        child = Child(
            "the studio",
            [
                *(STUDIO_PYTHON, "-m", "streamlit", "run", "app/asgi.py"),
                *("--server.address", LOOPBACK, "--server.port", str(port)),
            ],
            log=tmp_path / "studio.log",
            environment={**os.environ, **environment},
        )
        try:
            child.wait_ready(lambda: answers(port, "/healthz"), timeout_s=STUDIO_START_S)
            yield url, environment
        finally:
            child.kill()

    return started


def sign_in(page: Page, url: str, person: dict[str, str], *, button: str = "Sign in") -> None:
    """Open `url` and sign in on the hosted page; `button` is the button's label in the browser's language."""
    page.goto(url)
    page.get_by_role("button", name=button).click()
    page.locator("input[name=username]").fill(person["email"])
    page.locator("input[type=password]").fill(person["password"])
    page.keyboard.press("Enter")


def heading(page: Page, name: str) -> None:
    """Wait until the page with that title is shown."""
    page.get_by_role("heading", name=name, exact=True).wait_for()


def generate(page: Page, prompt: str) -> None:
    """Type a prompt and submit it by keyboard."""
    page.get_by_label("Prompt", exact=True).fill(prompt)
    page.keyboard.press("Control+Enter")


# A page counts as settled after this long without a script run or a layout change.
QUIET_MS = 300


def settled(page: Page) -> None:
    """Wait until the page has processed the last action and its layout no longer changes.

    While the layout still moves, a click can begin on a button and end beside it.
    """
    page.evaluate(
        """async (quietMs) => {
          const app = document.querySelector('[data-testid="stApp"]')
          const state = () => app.getAttribute("data-test-script-state")
          const layout = () => [...app.querySelectorAll("[data-testid=stElementContainer]")]
            .map((element) => Math.round(element.getBoundingClientRect().top)).join()
          let last = "", since = performance.now()
          while (performance.now() - since < quietMs) {
            const now = state() + layout()
            if (now !== last || state() !== "notRunning") [last, since] = [now, performance.now()]
            await new Promise((done) => setTimeout(done, 25))
          }
        }""",
        QUIET_MS,
    )
