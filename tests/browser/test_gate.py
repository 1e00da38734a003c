"""Tests of access in a browser: each page's path while signed out on a fresh server, and the local sign-in."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from contextlib import AbstractContextManager
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from app.auth.local_session import COOKIE
from app.navigation import PAGES
from local.signin import new_password
from services.aws.session import make_clients
from services.build import build
from services.records import Role
from services.settings import load_settings
from tests.browser.conftest import heading
from tests.browser.test_accessibility import faults_in_both_colors
from tests.browser.test_hostile_text import ALL, HTML, Watch
from tests.fields import text_fields

StartStudio = Callable[..., AbstractContextManager[tuple[str, dict[str, str]]]]

pytestmark = [pytest.mark.browser, pytest.mark.timeout(400)]


@pytest.mark.parametrize("path", [entry.path for entry in PAGES])
def test_the_first_page_requested_from_a_fresh_server_shows_only_the_sign_in(
    path: str, start_studio: StartStudio, page: Page
) -> None:
    with start_studio() as (url, _):
        page.goto(f"{url}/{path}")
        page.get_by_role("button", name="Sign in").wait_for()
        expect(page.get_by_role("heading")).to_have_count(1)
        heading(page, "Atelier")
        expect(page.get_by_role("link", name="Gallery")).to_have_count(0)
        expect(page.locator("[data-testid=stSidebar]")).to_have_count(0)
        assert page.request.get(f"{url}/_stcore/metrics").status == 404
        unknown = page.request.get(f"{url}/v1")
        assert (unknown.status, unknown.url) == (404, f"{url}/v1/")
        assert "json" in unknown.headers["content-type"]
        # A page on another port cannot open the studio's WebSocket.
        assert upgrade_status(url, origin=url) == 101
        assert upgrade_status(url, origin="http://localhost:1") == 403


def test_a_user_of_a_private_install_signs_in_by_password_and_signs_out(
    start_studio: StartStudio, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = Watch(page)
    with start_studio(AUTH_MODE="local") as (url, environment):
        page.emulate_media(color_scheme="light")
        page.goto(f"{url}/gallery")
        page.get_by_text("There are no users yet.").wait_for()
        password = add_mia(environment, monkeypatch)
        page.reload()
        user_name, secret = page.get_by_label("Username"), page.get_by_label("Password", exact=True)
        watch.type("local_sign_in.html: username", user_name, HTML)
        watch.type("local_sign_in.html: password", secret, ALL, press="Enter")
        watch.look("a sign-in that fails", "The username or password is wrong.")
        # The typed username is kept, the password is not, and the URL is still that of the requested page.
        expect(user_name).to_have_value(HTML)
        expect(secret).to_have_value("")
        assert page.url == f"{url}/gallery"
        assert faults_in_both_colors(page) == []
        sign_in(page, password)
        heading(page, "Gallery")
        page.reload()
        heading(page, "Gallery")
        page.locator(".tile").or_(page.get_by_text("Your gallery is empty.")).first.wait_for()
        [cookie] = [cookie for cookie in page.context.cookies() if cookie["name"] == COOKIE]
        assert cookie["httpOnly"] and cookie["sameSite"] == "Lax"
        assert COOKIE not in page.evaluate("document.cookie")
        page.get_by_role("link", name="Account").click()
        watch.look("a person's name", page.locator(".st-key-identity").get_by_text(HTML), "mia@example.com")
        # A sign-out request that does not come from the studio's page has no effect.
        page.goto(f"{url}/auth/logout")
        page.locator(".st-key-icon_sign_out").wait_for()
        page.get_by_role("link", name="Account").click()
        page.locator(".st-key-account_sign_out").get_by_role("button").first.click()
        user_name.wait_for()
        signed_out(page)
        # A copy of the cookie is no longer valid.
        page.context.add_cookies([{"name": COOKIE, "value": cookie["value"], "url": url}])
        page.goto(f"{url}/history")
        user_name.wait_for()
        sign_in(page, password)
        heading(page, "History")
        page.locator(".st-key-icon_sign_out").get_by_role("button").first.click()
        user_name.wait_for()
        signed_out(page)
        assert watch.typed == {field for field in text_fields() if field.startswith("local_sign_in.")}
        # Streamlit does not serve the component of the package that checks the passwords.
        component = "extra_streamlit_components.CookieManager.cookie_manager"
        assert page.request.get(f"{url}/component/{component}/index.html").status == 404
        watch.hosts.discard("")
        assert watch.hosts == {urlsplit(url).netloc}


def sign_in(page: Page, password: str) -> None:
    """Sign in as `mia` with the form."""
    page.get_by_label("Username").fill("mia")
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_role("button", name="Sign in").click()


def signed_out(page: Page) -> None:
    """Wait until the browser has visited the sign-out route, which clears the cookie."""
    for _ in range(100):
        if COOKIE not in {cookie["name"] for cookie in page.context.cookies()}:
            return
        page.wait_for_timeout(100)
    raise AssertionError("the cookie was not cleared")


def add_mia(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> str:
    """Add the user `mia` to the studio of that environment and return her password."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    password = new_password()
    settings = load_settings(environment)
    studio = build(settings, make_clients(settings))
    assert studio.local_users is not None
    studio.local_users.add(
        "mia", email="mia@example.com", name=f"Mia {HTML}", password=password, role=Role.MAKER
    )
    studio.close()
    return password


def upgrade_status(url: str, *, origin: str) -> int:
    """Return the status of a WebSocket request from a page of `origin`; 101 means accepted."""
    connection = HTTPConnection(urlsplit(url).netloc, timeout=20)
    headers = {
        "Origin": origin,
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": b64encode(bytes(16)).decode(),
        "Sec-WebSocket-Protocol": "streamlit",
    }
    try:
        connection.request("GET", "/_stcore/stream", headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()
