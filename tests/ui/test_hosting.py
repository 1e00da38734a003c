"""Tests of the middleware: headers, cookies, closed paths, origins, and the two redirects of the sign-in."""

from __future__ import annotations

from urllib.parse import parse_qs, quote, urlsplit

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect
from streamlit.web.server.starlette.starlette_path_security_middleware import PathSecurityMiddleware

from app.api.outer_problems import OuterProblems
from app.hosting import middleware, sign_in_secrets
from app.middleware.one_address import OneAddress
from app.middleware.same_origin import SameOrigin
from app.middleware.security_headers import content_security_policy, script_hashes
from app.middleware.session_cookies import tightened
from app.middleware.sign_in_redirects import (
    COOKIE,
    SignInRedirects,
    logout_location,
    page_of_referer,
    safe_path,
)
from app.streamlit_internals.index_page import index_page
from services.settings import AuthMode, Settings

LOGOUT = "https://login.example/logout?client_id=abc"


async def hello(request: Request) -> Response:
    return PlainTextResponse("hello")


async def to_provider(request: Request) -> Response:
    return RedirectResponse("https://login.example/authorize", 302)


async def back(request: Request) -> Response:
    answer = RedirectResponse("/", 302)
    if "fails" not in request.query_params:
        answer.set_cookie("_streamlit_user", "signed", max_age=30 * 86400)
    return answer


async def stream(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text("hello")
    await socket.close()


ROUTES = [
    WebSocketRoute("/_stcore/stream", stream),
    Route("/", hello),
    Route("/_stcore/metrics", hello),
    Route("/_stcore/agent/sessions", hello),
    Route("/auth/login", to_provider),
    Route("/auth/logout", to_provider),
    Route("/oauth2callback", back),
]


def client(*chain: Middleware, url: str = "http://testserver") -> TestClient:
    return TestClient(Starlette(routes=ROUTES, middleware=list(chain)), base_url=url, follow_redirects=False)


@pytest.fixture
def whole(settings: Settings) -> TestClient:
    return client(*middleware(settings))


def test_every_response_has_security_headers_and_a_request_id(whole: TestClient, settings: Settings) -> None:
    headers = whole.get("/").headers
    policy = headers["content-security-policy"]
    assert f"img-src 'self' data: blob: {' '.join(settings.picture_origins)};" in policy
    assert "frame-ancestors 'none'" in policy and "object-src 'none'" in policy
    assert "'unsafe-inline'" not in policy.split("style-src")[0]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert len(headers["x-request-id"]) == 24


def test_the_policy_allows_the_inline_script_of_streamlits_index_page() -> None:
    hashes = script_hashes(index_page())
    # Once there is no inline script, this test and `app/streamlit_internals/index_page.py` can be removed.
    assert len(hashes) == 1
    assert hashes[0] in content_security_policy(scripts=hashes, image_origin="https://pictures.example")


def test_a_valid_request_id_is_kept_and_an_invalid_one_is_replaced(whole: TestClient) -> None:
    given = "Root=1-67891233-abcdef012345678912345678"
    assert whole.get("/", headers={"X-Request-Id": given}).headers["x-request-id"] == given
    for bad in ("short", "x" * 200, 'quote"d-and-more'):
        assert whole.get("/", headers={"X-Request-Id": bad}).headers["x-request-id"] != bad


@pytest.mark.parametrize("path", ["/_stcore/metrics", "/_stcore/metrics/", "/_stcore/agent/sessions"])
def test_streamlits_public_diagnostic_routes_are_closed(path: str, whole: TestClient) -> None:
    assert whole.get(path).status_code == 404


def test_sign_in_cookies_are_secure_under_https_and_last_12_hours() -> None:
    cookie = "_streamlit_user=x; HttpOnly; Max-Age=2592000; Path=/; SameSite=lax"
    mended = tightened(cookie, https=True, max_age_s=43200)
    assert mended == "_streamlit_user=x; HttpOnly; Max-Age=43200; Path=/; SameSite=lax; Secure"
    assert tightened(mended, https=True, max_age_s=43200) == mended
    assert "Secure" not in tightened(cookie, https=False, max_age_s=43200)
    assert "Max-Age=0" in tightened("_streamlit_user=; Max-Age=0; Path=/", https=True, max_age_s=43200)


def test_the_sign_in_returns_to_the_requested_page() -> None:
    site = client(Middleware(SignInRedirects, logout_to=LOGOUT))
    login = site.get("/auth/login", headers={"Referer": "http://testserver/gallery?image=1-0"})
    assert login.headers["location"] == "https://login.example/authorize"
    cookie = login.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie and "Max-Age=600" in cookie
    answer = site.get("/oauth2callback", headers={"Cookie": cookie.split(";")[0]})
    assert answer.headers["location"] == "/gallery?image=1-0"
    assert any(
        c.startswith(f"{COOKIE}=;") and "Max-Age=0" in c for c in answer.headers.get_list("set-cookie")
    )


def test_a_failed_sign_in_redirects_to_the_start_page() -> None:
    site = client(Middleware(SignInRedirects, logout_to=LOGOUT))
    answer = site.get("/oauth2callback?fails=1", headers={"Cookie": f"{COOKIE}={quote('/gallery', safe='')}"})
    assert answer.headers["location"] == "/"


HOSTILE = [
    "//evil.example", "/\\evil.example", "\\\\evil.example", "https://evil.example/", "evil", "",
    "/a\r\nSet-Cookie: x=1",
    "/\t/evil.example", "/auth/logout", "/oauth2callback?code=1", "javascript:alert(1)", "/é", "/" + "a" * 2000,
    "///evil.example", "/_stcore/health",
]  # fmt: skip


@pytest.mark.parametrize("wanted", HOSTILE)
def test_a_cookie_cannot_redirect_off_the_site_or_into_the_sign_in(wanted: str) -> None:
    assert safe_path(wanted) is None
    site = client(Middleware(SignInRedirects, logout_to=LOGOUT))
    answer = site.get("/oauth2callback", headers={"Cookie": f"{COOKIE}={quote(wanted, safe='')}"})
    assert answer.headers["location"] == "/"


@pytest.mark.parametrize(
    "referer",
    [
        "http://evil.example/gallery",
        "http://testserver.evil.example/gallery",
        "http://user@testserver/gallery",
        "ftp://testserver/gallery",
        "http://testserver//evil.example",
        "http://[broken/",
        "",
    ],
)
def test_a_referer_of_another_site_is_not_a_return_target(referer: str) -> None:
    assert page_of_referer(referer, "testserver") is None


def test_logout_redirects_to_cognito_with_its_parameters_and_no_token() -> None:
    where = logout_location("https://login.example/logout", "abc", "https://studio.example")
    assert parse_qs(urlsplit(where).query) == {
        "client_id": ["abc"],
        "logout_uri": ["https://studio.example/"],
    }
    site = client(Middleware(SignInRedirects, logout_to=where))
    assert site.get("/auth/logout").headers["location"] == where


def test_pkce_is_enabled(settings: Settings) -> None:
    secrets = sign_in_secrets(settings)
    assert secrets is not None
    assert secrets["auth"]["client_kwargs"]["code_challenge_method"] == "S256"
    assert secrets["auth"]["redirect_uri"] == f"{settings.public_url}/oauth2callback"


def test_https_adds_hsts_and_framing_is_always_denied(settings: Settings) -> None:
    local = settings.model_copy(update={"auth_mode": AuthMode.LOCAL, "public_url": "https://studio.example"})
    assert sign_in_secrets(local) is None
    site = client(*middleware(local))
    headers = site.get("/").headers
    assert "max-age=" in headers["strict-transport-security"]
    framed = site.get("/component/extra_streamlit_components.CookieManager.cookie_manager/index.html").headers
    for answer in (headers, framed):
        assert "frame-ancestors 'none'" in answer["content-security-policy"]
        assert answer["x-frame-options"] == "DENY"


@pytest.mark.parametrize("origin", ["http://localhost:8501", "HTTP://LOCALHOST:8501", None])
def test_a_page_of_the_studio_may_open_a_websocket(origin: str | None) -> None:
    site = client(Middleware(SameOrigin, public_url="http://localhost:8501"))
    with site.websocket_connect("/_stcore/stream", headers={"Origin": origin} if origin else {}) as socket:
        assert socket.receive_text() == "hello"


@pytest.mark.parametrize(
    "origin",
    [
        "http://localhost:9999",
        "https://localhost:8501",
        "http://localhost",
        "http://evil.example",
        "null",
        "",
    ],
)
def test_a_page_of_another_origin_may_not_open_a_websocket(origin: str, settings: Settings) -> None:
    own = settings.model_copy(update={"public_url": "http://localhost:8501"})
    for site in (client(Middleware(SameOrigin, public_url=own.public_url)), client(*middleware(own))):
        with (
            pytest.raises(WebSocketDisconnect),
            site.websocket_connect("/_stcore/stream", headers={"Origin": origin}),
        ):
            pass


@pytest.mark.parametrize("path", ["/", "/gallery?image=x", "//evil.example/x"])
def test_a_page_requested_under_another_loopback_name_is_redirected_to_the_public_url(path: str) -> None:
    site = client(Middleware(OneAddress, public_url="http://localhost:8501"))
    headers = {"Host": "127.0.0.1:8501", "Accept": "text/html,application/xhtml+xml"}
    answer = site.get(path, headers=headers, follow_redirects=False)
    assert answer.status_code == 307
    target = urlsplit(answer.headers["location"])
    assert (target.scheme, target.netloc) == ("http", "localhost:8501")
    assert not target.path.startswith("//")


@pytest.mark.parametrize(
    ("host", "path", "accept"),
    [
        ("localhost:8501", "/gallery", "text/html"),
        ("127.0.0.1:9000", "/gallery", "text/html"),
        ("10.0.0.7:8501", "/gallery", "text/html"),
        ("", "/gallery", "text/html"),
        ("127.0.0.1:8501", "/gallery", "*/*"),
        ("127.0.0.1:8501", "/v1/jobs", "text/html"),
        ("127.0.0.1:8501", "/healthz", "text/html"),
        ("127.0.0.1:8501", "/_stcore/health", "text/html"),
    ],
)
def test_programs_and_other_hosts_are_not_redirected(host: str, path: str, accept: str) -> None:
    site = client(Middleware(OneAddress, public_url="http://localhost:8501"))
    headers = {"Host": host, "Accept": accept}
    assert site.get(path, headers=headers, follow_redirects=False).status_code != 307


def test_the_default_port_in_the_public_url_is_ignored_in_its_origin() -> None:
    site = client(Middleware(SameOrigin, public_url="https://Studio.example:443"))
    with site.websocket_connect("/_stcore/stream", headers={"Origin": "https://studio.example"}) as socket:
        assert socket.receive_text() == "hello"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/..%2Fme", 400),
        ("/v1/jobs/%00", 400),
        ("/v1%00", 400),
        ("/v1/jobs/%2e%2e/x", 400),
        ("/v1/jobs/%5C..%5Cx", 400),
        ("/v1/nothing", 404),
        ("/%2e%2e/v1/jobs", 400),
        ("/healthz/..%2f", 400),
        ("/gallery%00", 400),
    ],
)
def test_every_error_below_v1_and_every_refused_path_is_a_problem_document(
    settings: Settings, path: str, status: int
) -> None:
    chain = [*middleware(settings), Middleware(OuterProblems), Middleware(PathSecurityMiddleware)]
    client = TestClient(Starlette(routes=[Route("/", hello)], middleware=chain), base_url=settings.public_url)
    answer = client.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
    assert "nosniff" in answer.headers["x-content-type-options"]
    assert client.get("/v10/nothing").headers["content-type"].startswith("text/plain")


def test_two_slashes_before_v1_are_refused_with_a_problem_document(settings: Settings) -> None:
    chain = [*middleware(settings), Middleware(OuterProblems), Middleware(PathSecurityMiddleware)]
    client = TestClient(Starlette(routes=[Route("/", hello)], middleware=chain), base_url=settings.public_url)
    # A client with the base URL "https://studio/" and the path "/v1/jobs".
    answer = client.get(f"{settings.public_url}//v1/jobs")
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert "two slashes" in answer.json()["detail"]
