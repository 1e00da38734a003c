"""Tests of access in a browser: each page's path while signed out on a fresh server, and the local sign-in."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from http.client import HTTPConnection
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import pytest
from playwright.sync_api import Page, expect
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.web.server.starlette.starlette_app_utils import generate_xsrf_token_string
from websockets.sync.client import connect
from websockets.typing import Origin, Subprotocol

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


def test_only_the_signed_in_owner_of_a_session_can_upload_to_it_and_nothing_outlives_its_socket(
    start_studio: StartStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    with start_studio(AUTH_MODE="local") as (url, environment):
        mia = cookie_of(url, "mia", add_user("mia", environment, monkeypatch))
        eve = cookie_of(url, "eve", add_user("eve", environment, monkeypatch))
        with session_of(url, "") as nobodys:
            assert put(url, nobodys, "") == 401
            assert put(url, nobodys, mia) == 404
        with session_of(url, mia) as session:
            assert put(url, session, "") == 401
            assert put(url, session, eve) == 404
            assert put(url, session, mia) == 204
            # A second file of the largest size passes the cap of a session together with the others.
            sizes = [put(url, session, mia, size=31 * 1024 * 1024) for _ in range(3)]
            assert sizes == [204, 204, 413]
            assert put(url, session, mia, method="DELETE") == 204
        assert put(url, session, mia) == 404
        for path in ("/media/0123.csv", "/media/", "/media"):
            answer = httpx.get(f"{url}{path}")
            assert (answer.status_code, answer.headers["cache-control"]) == (401, "no-store")


def cookie_of(url: str, name: str, password: str) -> str:
    """Sign in with the form and return the session's cookie."""
    fields = {"username": name, "password": password}
    answer = httpx.post(f"{url}/auth/local", data=fields, headers={"Origin": url})
    return f"{COOKIE}={answer.cookies[COOKIE]}"


@contextmanager
def session_of(url: str, cookie: str) -> Iterator[str]:
    """Open a page's socket as the client of Streamlit does; the id of its session."""
    rerun = BackMsg()
    rerun.rerun_script.query_string = ""
    with connect(
        f"{url.replace('http', 'ws', 1)}/_stcore/stream",
        origin=Origin(url),
        subprotocols=[Subprotocol("streamlit")],
        additional_headers={"Cookie": cookie} if cookie else None,
    ) as socket:
        socket.send(rerun.SerializeToString())
        while True:
            message = ForwardMsg.FromString(bytes(socket.recv(timeout=60)))
            if message.HasField("new_session"):
                break
        yield message.new_session.initialize.session_id


def put(url: str, session: str, cookie: str, *, size: int = 10, method: str = "PUT") -> int:
    """Send a file to a session; the status."""
    token = generate_xsrf_token_string()
    headers = {
        "Cookie": f"{cookie}; _streamlit_xsrf={token}".removeprefix("; "),
        "X-Xsrftoken": token,
        "Origin": url,
    }
    files = {"file": ("a.png", bytes(size))} if method == "PUT" else None
    target = f"{url}/_stcore/upload_file/{session}/{uuid4()}"
    return httpx.request(method, target, files=files, headers=headers, timeout=60).status_code


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
    return add_user("mia", environment, monkeypatch)


def add_user(username: str, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> str:
    """Add a user to the studio of that environment and return the password."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    password = new_password()
    settings = load_settings(environment)
    studio = build(settings, make_clients(settings))
    assert studio.local_users is not None
    studio.local_users.add(
        username,
        email=f"{username}@example.com",
        name=f"{username.title()} {HTML}",
        password=password,
        role=Role.MAKER,
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
