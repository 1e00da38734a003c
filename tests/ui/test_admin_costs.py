"""Tests of the cost page: admins see the ledger's figures, makers are denied access."""

from __future__ import annotations

from collections.abc import Callable

from streamlit.testing.v1 import AppTest

from services.records import Job, User
from tests.ui.conftest import claims, words

COSTS = "app/pages/admin_costs.py"


def test_an_admin_sees_each_model_with_its_figures(
    open_page: Callable[..., AppTest], draw: Callable[..., Job], maker: User
) -> None:
    draw("a red apple", count=3)
    admin = claims(maker, **{"cognito:groups": ["admins"]})
    at = open_page(COSTS, user=admin)
    assert not at.exception and not at.error
    [row] = at.dataframe[0].value.to_dict("records")
    assert row["model"] == "pocket" and row["jobs"] >= 1 and row["images"] >= 3 and row["cost_usd"] > 0
    at.segmented_control(key="cost_span").set_value(30).run()
    assert not at.exception and at.session_state["cost_report"]["days"] == 30


def test_a_maker_gets_the_denied_page_and_no_figures(
    open_page: Callable[..., AppTest], draw: Callable[..., Job]
) -> None:
    draw("a red apple")
    at = open_page(COSTS)
    assert not at.dataframe
    assert "Cold starts" not in words(at)
