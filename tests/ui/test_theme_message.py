"""The theme goes to the browser as Streamlit itself would say it, and is worked out once."""

from __future__ import annotations

import inspect

import pytest
from streamlit.config import get_options_for_section
from streamlit.proto.NewSession_pb2 import NewSession
from streamlit.runtime import app_session

from app.streamlit_internals import theme_message

SECTIONS = (
    "theme",
    "theme.light",
    "theme.dark",
    "theme.sidebar",
    "theme.light.sidebar",
    "theme.dark.sidebar",
)


@pytest.mark.parametrize("section", SECTIONS)
def test_a_section_is_what_streamlit_makes_of_it_the_second_time_too(section: str) -> None:
    theirs = NewSession()
    theme_message._work_out(theirs.custom_theme, section)
    for _ in range(2):
        ours = NewSession()
        theme_message.populate(ours.custom_theme, section)
        assert ours.SerializeToString(deterministic=True) == theirs.SerializeToString(deterministic=True)


def test_our_theme_is_among_them() -> None:
    ours = NewSession()
    theme_message.populate(ours.custom_theme, "theme.light")
    assert ours.custom_theme.primary_color == get_options_for_section("theme.light")["primaryColor"]


def test_streamlit_takes_it_from_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app_session, "_populate_theme_msg", theme_message._work_out)
    theme_message.install()
    assert app_session._populate_theme_msg is theme_message.populate
    assert "_populate_theme_msg(" in inspect.getsource(app_session.AppSession._create_new_session_message)
