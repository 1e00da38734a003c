"""Tests that a widget is sent a value only when it has another one."""

from __future__ import annotations

from streamlit.testing.v1 import AppTest


def page() -> None:
    import streamlit as st

    from app.state.widget_values import show_value

    show_value("part", st.session_state.get("stored", False))
    st.toggle("Part", key="part")


def sets_value(at: AppTest) -> bool:
    return bool(at.toggle(key="part").proto.set_value)


def test_a_value_is_sent_only_when_it_changes() -> None:
    at = AppTest.from_function(page).run()
    assert at.toggle(key="part").value is False
    assert not sets_value(at.run())
    at.session_state["stored"] = True
    at.run()
    assert at.toggle(key="part").value is True and sets_value(at)
    assert not sets_value(at.run())
