"""Tests of access to pages when signed out, expired, or with another role; each page starts with the check."""

from __future__ import annotations

import ast
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app.auth import session
from app.navigation import PAGES
from services.build import Studio
from services.records import Job, User
from tests.ui.conftest import ROOT, TIMEOUT_S, claims, words

FILES = [page.file for page in PAGES]
NOBODY = {"is_logged_in": False}


@pytest.mark.parametrize("page", FILES)
def test_a_page_shows_only_the_sign_in_when_signed_out(
    page: str, open_page: Callable[..., AppTest], draw: Callable[..., Job]
) -> None:
    draw("a red apple")
    at = open_page(page, user=NOBODY)
    assert not at.button(key="sign_in_button").disabled
    assert [title.value for title in at.title] == ["Atelier"]
    assert "apple" not in words(at)


@pytest.mark.parametrize("page", FILES)
def test_a_page_file_run_directly_shows_only_the_sign_in_when_signed_out(
    page: str, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "_studio", studio)
    at = AppTest.from_file(str(ROOT / page), default_timeout=TIMEOUT_S)
    at.user = NOBODY
    at.run()
    assert not at.button(key="sign_in_button").disabled
    assert [title.value for title in at.title] == ["Atelier"]


@pytest.mark.parametrize(
    "file", sorted((ROOT / "app" / "pages").glob("[!_]*.py")), ids=lambda file: file.name
)
def test_every_page_file_starts_with_the_access_check(file: Path) -> None:
    statements = [
        node
        for node in ast.parse(file.read_text(encoding="utf-8")).body
        if not isinstance(node, ast.Import | ast.ImportFrom)
        and not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
    ]
    assert ast.unparse(statements[0]).startswith("user = require(")


def test_every_page_file_is_in_the_navigation() -> None:
    assert sorted(FILES) == sorted(
        f"app/pages/{file.name}" for file in (ROOT / "app" / "pages").glob("[!_]*.py")
    )


def test_there_is_no_pages_folder_next_to_the_main_script() -> None:
    # Streamlit would serve its files by URL without running the script and its access check.
    assert not (ROOT / "pages").exists()


@pytest.mark.parametrize(
    "changed",
    [
        {"auth_time": int(time.time()) - 13 * 3600},
        {"auth_time": None, "iat": None},
        {"auth_time": "now"},
        {"auth_time": True},
    ],
)
def test_a_sign_in_of_unknown_age_or_over_12_hours_old_is_expired(
    changed: dict[str, object], open_page: Callable[..., AppTest], maker: User
) -> None:
    at = open_page(user=claims(maker, **changed))
    assert not at.button(key="sign_in_button").disabled
    assert "12 hours" in words(at)


def test_malformed_groups_claims_do_not_grant_admin() -> None:
    for groups in (None, "admins", {"admins": 1}, [["admins"]]):
        assert "admins" not in session.groups_of({"cognito:groups": groups})


def test_an_admin_page_denies_access_to_a_maker(
    studio: Studio, maker: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "_studio", studio)

    def admin_page() -> None:
        import streamlit as st

        from app.auth.session import require
        from services.records import Role

        require(Role.ADMIN)
        st.text("secret")

    at = AppTest.from_function(admin_page, default_timeout=TIMEOUT_S)
    at.user = claims(maker)
    at.run()
    assert "Not for this account" in words(at) and "secret" not in words(at)


def test_a_session_taken_over_by_another_user_keeps_no_data_of_the_first(
    open_page: Callable[..., AppTest], draw: Callable[..., Job], other: User
) -> None:
    draw("a red apple")
    at = open_page()
    at.text_area(key="g_prompt").set_value("my secret idea").run()
    assert "a red apple" in words(at)
    at.user = claims(other)
    at.run()
    assert "a red apple" not in words(at)
    assert at.text_area(key="g_prompt").value == ""
    assert other.email in words(at)
