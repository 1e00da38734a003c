"""Tests of the account page: identity, usage, API keys, shared pictures, preferences, and exports."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import pytest
from streamlit.testing.v1 import AppTest

from app.i18n.texts import speaking
from app.ui.account.usage_chart import chart, pictures_words
from services.accounts.preferences import Preferences
from services.aws.user_pool import PoolUser, UserPool
from services.billing.ledger import DayUsage
from services.build import Studio
from services.images.shares import LIVES
from services.records import Job, Role, User
from tests.studios import pool_user
from tests.ui.conftest import claims, words

ACCOUNT = "app/pages/account.py"


def test_the_page_shows_email_role_and_usage(
    open_page: Callable[..., AppTest], draw: Callable[..., Job], maker: User
) -> None:
    draw("a red apple", count=3)
    said = words(open_page(ACCOUNT))
    assert maker.email in said and "3 of 500" in said and "Maker" in said


def test_a_member_of_the_admins_group_is_an_admin(open_page: Callable[..., AppTest], maker: User) -> None:
    at = open_page(ACCOUNT, user=claims(maker, **{"cognito:groups": ["admins"]}))
    assert "Admin" in words(at)


def test_a_new_key_is_shown_once_works_and_can_be_revoked(
    open_page: Callable[..., AppTest], studio: Studio, maker: User
) -> None:
    maker = maker.model_copy(update={"id": pool_user(studio.settings).replace("-", "")})
    at = open_page(ACCOUNT, user=claims(maker))
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


def test_a_key_without_a_name_is_refused_with_a_message_at_the_field(
    open_page: Callable[..., AppTest], studio: Studio, maker: User
) -> None:
    at = open_page(ACCOUNT)
    at.button[[button.label for button in at.button].index("Create key")].click().run()
    assert any("Give the key a name" in markdown.value for markdown in at.markdown)
    assert studio.accounts.keys(maker) == ()


def test_the_usage_of_this_month_is_charted_by_day_and_summarized(
    open_page: Callable[..., AppTest], draw: Callable[..., Job]
) -> None:
    draw("a red apple", count=3)
    at = open_page(ACCOUNT)
    assert "3 pictures in total. The maximum was 3 of 500 on" in words(at)
    assert len(at.get("vega_lite_chart")) == 2


def test_the_limit_line_is_drawn_only_near_the_values() -> None:
    days = [DayUsage(day=date(2026, 1, 1), images=4, cost_usd=0.1)]
    near, far = (chart(days, [4], limit=limit, mark="bar") for limit in (10, 500))
    assert near["config"]["locale"]["number"]["currency"] == ["$", ""]
    with speaking("de"):
        signs = chart(days, [4], limit=10, mark="bar", money=True)["config"]["locale"]["number"]
    assert signs == {"decimal": ",", "thousands": ".", "grouping": [3], "currency": ["", "\xa0$"]}
    assert len(near["layer"]) == 2 and len(far["layer"]) == 1
    assert near["layer"][0]["encoding"]["y"]["scale"]["domain"] == [0, 10.5]
    assert pictures_words([], 10) == "None yet. The limit is 10 per day."


def test_shared_pictures_are_listed_and_can_be_revoked(
    open_page: Callable[..., AppTest], draw: Callable[..., Job], studio: Studio, maker: User
) -> None:
    assert "Shared pictures" not in words(open_page(ACCOUNT))
    share = studio.shares.create(maker, draw("a red apple").image_ids[0], lives=LIVES[0]).share
    at = open_page(ACCOUNT)
    assert "Expires in 60 minutes, not opened yet" in words(at)
    at.button(key=f"revoke_{share.id}").click().run()
    assert studio.shares.list(maker) == () and "Shared pictures" not in words(at)


def test_preferences_set_the_initial_form_values_in_another_session(
    open_page: Callable[..., AppTest], studio: Studio, maker: User
) -> None:
    at = open_page(ACCOUNT)
    at.selectbox(key="p_quality").set_value("fine").run()
    at.selectbox(key="p_count").set_value(3).run()

    assert studio.preferences.get(maker) == Preferences(model="pocket", quality="fine", count=3)
    create = open_page("app/pages/generate.py")
    assert create.session_state["g_quality"] == "fine"
    assert create.session_state["g_count"] == 3
    assert create.session_state["g_steps"] == studio.catalogue.card("pocket").qualities["fine"]


def test_all_pictures_can_be_exported_as_a_zip(
    open_page: Callable[..., AppTest], draw: Callable[..., Job], studio: Studio, maker: User
) -> None:
    draw("a red apple", count=2)
    at = open_page(ACCOUNT)
    at.button(key="take_away_order").click().run()
    [export] = studio.exports.list(maker)
    assert export.pictures == 2
    assert "2 pictures" in words(at) and at.button(key=f"export_drop_{export.id}").label == "Cancel"
    while studio.export_builder.build_due():
        pass
    at.run()
    assert "Ready" in words(at)


def test_an_admin_revokes_all_keys_of_a_person_and_a_maker_has_no_such_form(
    open_page: Callable[..., AppTest], studio: Studio, maker: User
) -> None:
    assert "revoke_access_of" not in [field.key for field in open_page(ACCOUNT).text_input]
    leaver = studio.accounts.sign_in(sub=pool_user(studio.settings), email="l@example.com", groups=())
    for n in range(2):
        studio.accounts.create_key(leaver, f"k{n}")
    at = open_page(ACCOUNT, user=claims(maker, **{"cognito:groups": ["admins"]}))
    at.text_input(key="revoke_access_of").set_value(leaver.id)
    at.button[[button.label for button in at.button].index("Revoke access")].click().run()
    assert [one.value for one in at.success] == ["Access revoked: 2 API keys."]
    assert studio.accounts.keys(leaver) == ()
    at.text_input(key="revoke_access_of").set_value("nobody@example.com")
    at.button[[button.label for button in at.button].index("Revoke access")].click().run()
    assert "There is no user" in words(at)


@pytest.mark.parametrize("found", [None, PoolUser("", False, ("admins",))], ids=["deleted", "disabled"])
def test_a_deleted_or_disabled_user_is_signed_out_of_the_pages(
    open_page: Callable[..., AppTest], maker: User, monkeypatch: pytest.MonkeyPatch, found: PoolUser | None
) -> None:
    monkeypatch.setattr(UserPool, "find", lambda *_: found)
    at = open_page(ACCOUNT, user=claims(maker))
    assert maker.email not in words(at)
    assert "sign_in_button" in [button.key for button in at.button]


def test_an_admin_who_left_the_group_is_a_maker_on_the_pages(
    open_page: Callable[..., AppTest], maker: User, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(UserPool, "find", lambda *_: PoolUser("", True, ()))
    at = open_page(ACCOUNT, user=claims(maker, **{"cognito:groups": ["admins"]}))
    assert "Maker" in words(at) and "revoke_access_of" not in [field.key for field in at.text_input]
    assert studio.accounts.user(maker.id).role is Role.MAKER
