"""The account page: who one is, what is used, and keys for programs."""

from __future__ import annotations

from collections.abc import Callable

from streamlit.testing.v1 import AppTest

from services.build import Studio
from services.records import Job, User
from tests.ui.conftest import claims, words

ACCOUNT = "app/pages/account.py"


def test_it_says_who_one_is_and_what_is_used(
    open_page: Callable[..., AppTest], draw: Callable[..., Job], maker: User
) -> None:
    draw("a red apple", count=3)
    said = words(open_page(ACCOUNT))
    assert maker.email in said and "3 of 500" in said and "Maker" in said


def test_the_group_admins_makes_an_admin(open_page: Callable[..., AppTest], maker: User) -> None:
    at = open_page(ACCOUNT, user=claims(maker, **{"cognito:groups": ["admins"]}))
    assert "Admin" in words(at)


def test_a_key_is_shown_once_works_and_can_be_revoked(
    open_page: Callable[..., AppTest], studio: Studio, maker: User
) -> None:
    at = open_page(ACCOUNT)
    at.text_input(key="key_name").set_value("render *farm*")
    at.button[[button.label for button in at.button].index("Create key")].click().run()
    secret = at.code[0].value
    assert studio.accounts.by_api_key(secret).id == maker.id
    [key] = studio.accounts.keys(maker)
    at.run()
    assert secret not in words(at)
    assert "render *farm*" in [text.value for text in at.text]
    at.button(key=f"sure_{key.id}").click().run()
    assert studio.accounts.keys(maker) == ()


def test_a_key_without_a_name_is_refused_at_the_name(
    open_page: Callable[..., AppTest], studio: Studio, maker: User
) -> None:
    at = open_page(ACCOUNT)
    at.button[[button.label for button in at.button].index("Create key")].click().run()
    assert any("Give the key a name" in markdown.value for markdown in at.markdown)
    assert studio.accounts.keys(maker) == ()
