"""Tests of the local sign-in of a private install: the session cookie and attacks on it, with real accounts."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Lock
from typing import Any

import jwt
import pytest
import streamlit as st
from starlette.applications import Starlette
from starlette.testclient import TestClient
from streamlit.testing.v1 import AppTest
from streamlit_authenticator.utilities import Hasher

from app.auth import local_routes, session
from app.auth.local_session import COOKIE, NOTICE_COOKIE, SESSION_S, Notice, SignedCookies
from app.hosting import local_sign_in_routes, middleware
from services.accounts.local_users import LocalUser, LocalUsers
from services.aws.table import Table
from services.build import Studio
from services.errors import NotSignedIn, Unavailable
from services.records import Role
from services.settings import AuthMode, Settings
from services.store.logins import LoginStore
from services.store.profiles import ProfileStore
from tests.ui.conftest import ROOT, TIMEOUT_S, words
from tests.wire.conftest import real_clients

PASSWORD = "correct horse battery"
PUBLIC_URL = "https://studio.example"
OWN = {"Origin": PUBLIC_URL, "Referer": f"{PUBLIC_URL}/gallery?show=albums"}

Response = Any
AskPage = Callable[..., AppTest]


@pytest.fixture
def local(settings: Settings) -> Settings:
    return settings.model_copy(update={"auth_mode": AuthMode.LOCAL, "public_url": PUBLIC_URL})


@pytest.fixture
def private(studio: Studio, local: Settings, monkeypatch: pytest.MonkeyPatch) -> Studio:
    """The studio as a private install reached over HTTPS."""
    private = replace(studio, settings=local, local_users=users_of(studio))
    monkeypatch.setattr(session, "_studio", private)
    return private


@pytest.fixture(scope="module")
def mia(studio: Studio) -> LocalUser:
    return add_user(studio, "mia")


def users_of(studio: Studio) -> LocalUsers:
    """Return the local users stored in the same table."""
    table = Table(real_clients(studio.settings).dynamodb, studio.settings.table)
    return LocalUsers(LoginStore(table), ProfileStore(table), studio.accounts)


def add_user(studio: Studio, name: str) -> LocalUser:
    """Add a user with PASSWORD."""
    return users_of(studio).add(
        name, email=f"{name}@example.com", name=name.title(), password=PASSWORD, role=Role.MAKER
    )


@pytest.fixture
def cookies(local: Settings) -> SignedCookies:
    """The cookie reader of another task, which shares only the secret."""
    return SignedCookies(local.cookie_secret.get_secret_value())


@pytest.fixture
def site(private: Studio, local: Settings) -> TestClient:
    """The routes and middleware without Streamlit behind them."""
    app = Starlette(routes=local_sign_in_routes(local, lambda: private), middleware=middleware(local))
    return TestClient(app, base_url=PUBLIC_URL, follow_redirects=False)


@pytest.fixture
def ask_page(monkeypatch: pytest.MonkeyPatch) -> AskPage:
    """`ask_page(cookie, notice=...)`: runs the account page for a browser with these cookies."""

    def asked(cookie: str = "", *, notice: str = "") -> AppTest:
        cookies = {COOKIE: cookie} if cookie else {}
        cookies |= {NOTICE_COOKIE: notice} if notice else {}
        monkeypatch.setattr(type(st.context), "cookies", property(lambda _: cookies))
        return AppTest.from_file(str(ROOT / "app/pages/account.py"), default_timeout=TIMEOUT_S).run()

    return asked


def post(site: TestClient, username: str = "mia", password: str = PASSWORD, **changed: Any) -> Response:
    headers = OWN | changed
    data = {"username": username, "password": password}
    return site.post("/auth/local", data=data, headers={k: v for k, v in headers.items() if v is not None})


def cookies_of(answer: Response) -> dict[str, str]:
    """Return the `Set-Cookie` headers by cookie name."""
    return {line.partition("=")[0]: line for line in answer.headers.get_list("set-cookie")}


def value_of(answer: Response, name: str = COOKIE) -> str:
    return cookies_of(answer)[name].partition("=")[2].partition(";")[0]


def is_signed_in(at: AppTest) -> bool:
    """Return whether the account page is shown instead of the sign-in."""
    assert not at.exception
    return any(button.key == "account_sign_out" for button in at.button)


def test_a_correct_password_sets_an_httponly_samesite_secure_cookie(site: TestClient, mia: LocalUser) -> None:
    answer = post(site)
    assert (answer.status_code, answer.headers["location"]) == (303, "/gallery?show=albums")
    assert answer.headers["cache-control"] == "no-store"
    attributes = {part.strip().lower() for part in cookies_of(answer)[COOKIE].split(";")[1:]}
    assert attributes == {"httponly", "samesite=lax", "secure", "path=/", f"max-age={SESSION_S}"}
    assert PASSWORD not in str(answer.headers) and "mia" not in str(answer.headers)


def test_without_https_the_cookie_is_not_secure_so_that_browsers_keep_it(
    private: Studio, local: Settings, mia: LocalUser
) -> None:
    plain = local.model_copy(update={"public_url": "http://localhost:8501"})
    on_a_laptop = replace(private, settings=plain)
    app = Starlette(routes=local_sign_in_routes(plain, lambda: on_a_laptop), middleware=middleware(plain))
    site = TestClient(app, base_url=plain.public_url, follow_redirects=False)
    answer = post(site, Origin=plain.public_url, Referer=f"{plain.public_url}/history")
    cookie = cookies_of(answer)[COOKIE].lower()
    assert "httponly" in cookie and "samesite=lax" in cookie and "secure" not in cookie
    assert answer.headers["location"] == "/history"


def test_the_cookie_is_valid_on_every_task_with_the_same_secret(
    site: TestClient, mia: LocalUser, ask_page: AskPage, cookies: SignedCookies
) -> None:
    cookie = value_of(post(site))
    at = ask_page(cookie)
    assert is_signed_in(at) and "mia@example.com" in words(at)
    assert cookies.read_session(cookie).user_id == mia.user_id


@pytest.mark.parametrize("name", ["MIA", "  Mia "])
def test_case_and_surrounding_spaces_of_the_username_are_ignored(
    name: str, site: TestClient, mia: LocalUser
) -> None:
    assert COOKIE in cookies_of(post(site, username=name))


@pytest.mark.parametrize(
    ("username", "password"),
    [
        ("mia", "wrong"),
        ("nobody", PASSWORD),
        ("mia", ""),
        ("", ""),
        ("mia", "x" * 73),
        ("mia", PASSWORD + "\0"),
        ("mia", "é" * 40),
        ("<script>", "<b>"),
    ],
)
def test_a_wrong_username_and_a_wrong_password_get_the_same_response(
    username: str, password: str, site: TestClient, mia: LocalUser, cookies: SignedCookies
) -> None:
    answer = post(site, username=username, password=password)
    assert (answer.status_code, answer.headers["location"]) == (303, "/gallery?show=albums")
    assert set(cookies_of(answer)) == {NOTICE_COOKIE}
    attributes = {part.strip().lower() for part in cookies_of(answer)[NOTICE_COOKIE].split(";")[1:]}
    assert attributes == {"httponly", "samesite=lax", "secure", "path=/", "max-age=60"}
    assert cookies.read_notice(value_of(answer, NOTICE_COOKIE)) == Notice("wrong", username)


def test_after_a_failure_the_page_shows_an_error_and_the_escaped_username(
    site: TestClient, mia: LocalUser, ask_page: AskPage
) -> None:
    at = ask_page(notice=value_of(post(site, username='"><script>', password="x"), NOTICE_COOKIE))
    assert [error.value for error in at.error] == ["The username or password is wrong."]
    assert not is_signed_in(at)
    [form] = [html.proto.body for html in at.get("html") if "local_sign_in" in html.proto.body]
    assert 'value="&quot;&gt;&lt;script&gt;"' in form and 'action="/auth/local"' in form


def test_a_notice_signed_with_another_secret_is_ignored(mia: LocalUser, ask_page: AskPage) -> None:
    notice = SignedCookies("x" * 32).notice(Notice("wrong", "call 555-0100"))
    at = ask_page(notice=notice)
    assert not at.error
    assert "555" not in "".join(str(html.proto.body) for html in at.get("html"))


def test_an_unknown_username_takes_the_same_password_check(
    site: TestClient, mia: LocalUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = []
    check = Hasher.check_pw

    def noting(password: str, hashed: str) -> bool:
        checked.append(hashed[:7])
        return bool(check(password, hashed))

    monkeypatch.setattr(Hasher, "check_pw", noting)
    post(site, username="nobody", password="wrong")
    post(site, password="wrong")
    # The same kind of hash at the same cost.
    assert checked == ["$2b$12$", "$2b$12$"]


def test_the_error_is_in_the_readers_language(
    site: TestClient, mia: LocalUser, ask_page: AskPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    notice = value_of(post(site, password="wrong"), NOTICE_COOKIE)
    monkeypatch.setattr(type(st.context), "cookies", property(lambda _: {NOTICE_COOKIE: notice}))
    monkeypatch.setattr(type(st.context), "locale", property(lambda _: "de-DE"))
    at = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=TIMEOUT_S).run()
    assert [error.value for error in at.error] == ["Benutzername oder Passwort ist falsch."]


def test_an_unavailable_table_is_not_reported_as_a_wrong_password(
    site: TestClient, mia: LocalUser, ask_page: AskPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: LocalUsers) -> dict[str, LocalUser]:
        raise Unavailable("DynamoDB does not answer.")

    with monkeypatch.context() as patch:
        patch.setattr(LocalUsers, "all", fails)
        answer = post(site)
    assert set(cookies_of(answer)) == {NOTICE_COOKIE}
    at = ask_page(notice=value_of(answer, NOTICE_COOKIE))
    assert "cannot be checked right now" in words(at)


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "http://studio.example", "https://studio.example:444", "null", "", None],
)
def test_a_form_of_another_site_cannot_sign_in(origin: str | None, site: TestClient, mia: LocalUser) -> None:
    answer = post(site, Origin=origin)
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    ("referer", "target"),
    [
        ("https://evil.example/gallery", "/"),
        (f"{PUBLIC_URL}//evil.example", "/"),
        (f"{PUBLIC_URL}/auth/logout", "/"),
        (None, "/"),
        (f"{PUBLIC_URL}/account", "/account"),
    ],
)
def test_the_sign_in_redirects_to_the_requested_page_but_never_off_the_site(
    referer: str | None, target: str, site: TestClient, mia: LocalUser
) -> None:
    assert post(site, Referer=referer).headers["location"] == target


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b'{"username": "mia", "password": "correct horse battery"}'),
        ("multipart/form-data; boundary=x", b"--x--"),
        ("application/x-www-form-urlencoded", b"username=" + b"a" * 5000),
        ("application/x-www-form-urlencoded", b"username=mia&username=ada&password=x"),
        ("application/x-www-form-urlencoded", b"&".join(b"a%d=1" % n for n in range(20))),
        ("application/x-www-form-urlencoded", b"username=%ff&password=x"),
        ("application/x-www-form-urlencoded", b"username=\xff&password=x"),
    ],
)
def test_a_malformed_form_is_refused(content_type: str, body: bytes, site: TestClient) -> None:
    answer = site.post("/auth/local", content=body, headers=OWN | {"Content-Type": content_type})
    assert answer.status_code == 400
    assert "set-cookie" not in answer.headers


def test_a_get_request_cannot_sign_in(site: TestClient, mia: LocalUser) -> None:
    answer = site.get("/auth/local", params={"username": "mia", "password": PASSWORD}, headers=OWN)
    assert answer.status_code == 405


def forged(local: Settings, user: LocalUser) -> dict[str, str]:
    """Return forged or foreign cookies by how they were made."""
    good = SignedCookies(local.cookie_secret.get_secret_value())
    cookie = good.session(user.user_id)
    head, claims, signature = cookie.split(".")
    other = good.session(secrets.token_hex(16)).split(".")
    now = int(time.time())
    says = {"sub": user.user_id, "iat": now}
    key = good._key("session")
    return {
        "another secret": SignedCookies("x" * 32).session(user.user_id),
        "the bare secret": jwt.encode(says, local.cookie_secret.get_secret_value(), algorithm="HS256"),
        "claims of another's": f"{head}.{other[1]}.{signature}",
        "signature cut": f"{head}.{claims}.{signature[:-4]}",
        "no signature": f"{head}.{claims}.",
        "algorithm none": jwt.encode(says, "", algorithm="none"),
        "another algorithm": jwt.encode(says, key * 2, algorithm="HS512"),
        "the notice's key": good.notice(Notice(user.user_id, "mia")),
        "nobody": jwt.encode({"iat": now}, key, algorithm="HS256"),
        "no time": jwt.encode({"sub": user.user_id}, key, algorithm="HS256"),
        "a time to come": jwt.encode(says | {"iat": now + 3600}, key, algorithm="HS256"),
        "endless": jwt.encode(says | {"iat": float("inf")}, key, algorithm="HS256"),
        "rubbish": "rubbish",
        "long": "a" * 5000,
        "letters": "é.ü.ß",
    }


FORGERIES = (
    "another secret", "the bare secret", "claims of another's", "signature cut", "no signature", "algorithm none",
    "another algorithm", "the notice's key", "nobody", "no time", "a time to come", "endless",
    "rubbish", "long", "letters",
)  # fmt: skip


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_cookie_is_refused(
    forgery: str, local: Settings, mia: LocalUser, cookies: SignedCookies
) -> None:
    made = forged(local, mia)
    assert set(made) == set(FORGERIES)
    with pytest.raises(NotSignedIn) as refused:
        cookies.read_session(made[forgery])
    assert refused.value.code == "not_signed_in"


def test_a_page_with_a_forged_cookie_shows_the_sign_in(
    local: Settings, mia: LocalUser, ask_page: AskPage
) -> None:
    made = forged(local, mia)
    unknown = SignedCookies(local.cookie_secret.get_secret_value()).session(secrets.token_hex(16))
    for cookie in (made["claims of another's"], made["no signature"], unknown):
        assert not is_signed_in(ask_page(cookie))


def test_a_cookie_signs_in_only_its_own_user(
    site: TestClient, studio: Studio, mia: LocalUser, ask_page: AskPage
) -> None:
    add_user(studio, "ada")
    at = ask_page(value_of(post(site, username="ada")))
    assert is_signed_in(at)
    assert "ada@example.com" in words(at) and "mia@example.com" not in words(at)


def test_a_session_expires_after_12_hours_with_an_explanation(
    site: TestClient, mia: LocalUser, ask_page: AskPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    cookie = value_of(post(site))
    now = time.time()
    # The server checks the age: the browser's clock may be wrong, or the cookie may be a copy.
    monkeypatch.setattr(time, "time", lambda: now + SESSION_S - 5)
    assert is_signed_in(ask_page(cookie))
    monkeypatch.setattr(time, "time", lambda: now + SESSION_S + 5)
    at = ask_page(cookie)
    assert not is_signed_in(at)
    assert "12 hours" in words(at)


def test_signing_out_ends_every_copy_of_the_session_and_clears_the_cookie(
    site: TestClient, mia: LocalUser, ask_page: AskPage, private: Studio, cookies: SignedCookies
) -> None:
    cookie = value_of(post(site))
    time.sleep(1.1)  # Sessions are distinguished by the second in which they began.
    elsewhere = value_of(post(site))
    at = ask_page(cookie)
    at.button(key="account_sign_out").click().run()
    assert not is_signed_in(ask_page(cookie))
    answer = site.get("/auth/logout", headers={"Cookie": f"{COOKIE}={cookie}"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cleared = cookies_of(answer)[COOKIE].lower()
    assert cleared.startswith(f'{COOKIE}="";') and "max-age=0" in cleared and "path=/" in cleared
    # The sign-out is stored in the table, so other tasks see it.
    with pytest.raises(NotSignedIn):
        private.accounts.user(mia.user_id, began_at=cookies.read_session(cookie).began_at)
    # The session on another device stays signed in.
    assert is_signed_in(ask_page(elsewhere))


def test_a_link_on_another_site_cannot_sign_a_user_out(
    site: TestClient, mia: LocalUser, ask_page: AskPage
) -> None:
    cookie = value_of(post(site))
    assert is_signed_in(ask_page(cookie))
    answer = site.get(
        "/auth/logout", headers={"Cookie": f"{COOKIE}={cookie}", "Referer": "https://evil.example/"}
    )
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert "set-cookie" not in answer.headers
    assert is_signed_in(ask_page(cookie))


def test_a_removed_user_is_signed_out(site: TestClient, private: Studio, ask_page: AskPage) -> None:
    add_user(private, "eve")
    cookie = value_of(post(site, username="eve"))
    assert is_signed_in(ask_page(cookie))
    users_of(private).remove("eve")
    assert not is_signed_in(ask_page(cookie))
    # A new user with the same name is a different user.
    add_user(private, "eve")
    assert not is_signed_in(ask_page(cookie))


def test_the_number_of_concurrent_password_checks_is_bounded(
    site: TestClient, mia: LocalUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    running, most, lock = 0, 0, Lock()

    def slow(*_: object) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.05)
        with lock:
            running -= 1

    monkeypatch.setattr(local_routes, "find_user", slow)
    with site, ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: post(site, username=f"u{n}"), range(16)))
    assert {answer.status_code for answer in answers} == {303}
    assert most == local_routes.CHECKED_AT_ONCE


def site_from(private: Studio, local: Settings, address: str) -> TestClient:
    """The same site, for a browser at another address and without cookies."""
    app = Starlette(routes=local_sign_in_routes(local, lambda: private), middleware=middleware(local))
    return TestClient(app, base_url=PUBLIC_URL, follow_redirects=False, client=(address, 50000))


def quick_check(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compares passwords without bcrypt's quarter of a second; the delay is what is tested."""
    monkeypatch.setattr(Hasher, "check_pw", lambda password, _: password == PASSWORD)


def test_many_wrong_passwords_delay_even_the_right_one_with_a_message(
    private: Studio, local: Settings, ask_page: AskPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick_check(monkeypatch)
    add_user(private, "bea")
    site = site_from(private, local, "203.0.113.7")
    for n in range(25):
        post(site, username="bea", password=f"wrong {n}")
    refused = post(site, username="bea")
    assert set(cookies_of(refused)) == {NOTICE_COOKIE}
    assert 0 < int(refused.headers["retry-after"]) <= 900
    assert "Too many sign-ins" in words(ask_page(notice=value_of(refused, NOTICE_COOKIE)))
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 901)
    assert COOKIE in cookies_of(post(site, username="bea"))


def test_a_delay_shuts_out_neither_other_users_nor_other_addresses_nor_known_browsers(
    private: Studio, local: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick_check(monkeypatch)
    for name in ("cleo", "dora"):
        add_user(private, name)
    stranger = site_from(private, local, "203.0.113.8")
    known = site_from(private, local, "203.0.113.8")
    assert COOKIE in cookies_of(post(known, username="cleo"))
    for n in range(25):
        post(stranger, username="cleo", password=f"wrong {n}")
    assert COOKIE not in cookies_of(post(stranger, username="cleo"))
    assert COOKIE in cookies_of(post(stranger, username="dora"))
    assert COOKIE in cookies_of(post(known, username="cleo"))
    assert COOKIE in cookies_of(post(site_from(private, local, "203.0.113.9"), username="cleo"))


def test_a_known_browser_of_one_user_is_delayed_like_a_stranger_for_another(
    private: Studio, local: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick_check(monkeypatch)
    for name in ("fay", "gil"):
        add_user(private, name)
    site = site_from(private, local, "203.0.113.10")
    post(site, username="fay")
    for n in range(25):
        post(site, username="gil", password=f"wrong {n}")
    assert COOKIE not in cookies_of(post(site, username="gil"))


def test_attempts_in_parallel_pass_no_more_often_than_one_by_one(
    private: Studio, local: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = []
    monkeypatch.setattr(local_routes, "find_user", lambda *_: checked.append(1))
    with site_from(private, local, "203.0.113.11") as site, ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: post(site, username="hal", password=f"{n}"), range(24)))
    assert 1 <= len(checked) <= 5


def test_a_new_password_ends_every_copy_of_the_cookie(
    private: Studio, local: Settings, ask_page: AskPage
) -> None:
    add_user(private, "ida")
    site = site_from(private, local, "203.0.113.12")
    cookie = value_of(post(site, username="ida"))
    assert is_signed_in(ask_page(cookie))
    users_of(private).set_password("ida", "another long password")
    assert not is_signed_in(ask_page(cookie))
    answer = site.get("/auth/logout", headers={"Cookie": f"{COOKIE}={cookie}"})
    assert "max-age=0" in cookies_of(answer)[COOKIE].lower()
    assert is_signed_in(ask_page(value_of(post(site, username="ida", password="another long password"))))


def test_an_install_with_cognito_has_no_local_sign_in_routes(settings: Settings, studio: Studio) -> None:
    assert local_sign_in_routes(settings, lambda: studio) == []
