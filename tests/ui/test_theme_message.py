"""Tests that the theme message equals the one Streamlit would send and is computed only once."""

from __future__ import annotations

import asyncio

import pytest
from streamlit import config
from streamlit.config import get_options_for_section
from streamlit.proto.NewSession_pb2 import NewSession
from streamlit.runtime import app_session
from streamlit.runtime.app_session import AppSession
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.script_data import ScriptData
from streamlit.runtime.scriptrunner.script_cache import ScriptCache
from streamlit.runtime.scriptrunner_utils.run_descriptor import RunDescriptor

from app.streamlit_internals import theme_message
from tests.ui.conftest import ROOT

SECTIONS = (
    "theme",
    "theme.light",
    "theme.dark",
    "theme.sidebar",
    "theme.light.sidebar",
    "theme.dark.sidebar",
)


@pytest.mark.parametrize("section", SECTIONS)
def test_a_section_equals_streamlits_also_when_cached(section: str) -> None:
    theirs = NewSession()
    theme_message._work_out(theirs.custom_theme, section)
    for _ in range(2):
        ours = NewSession()
        theme_message.populate(ours.custom_theme, section)
        assert ours.SerializeToString(deterministic=True) == theirs.SerializeToString(deterministic=True)


def test_the_message_contains_the_configured_theme() -> None:
    ours = NewSession()
    theme_message.populate(ours.custom_theme, "theme.light")
    assert ours.custom_theme.primary_color == get_options_for_section("theme.light")["primaryColor"]


@pytest.fixture
def worked_out(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Records the sections whose options Streamlit reads."""
    monkeypatch.setattr(app_session, "_populate_theme_msg", theme_message._work_out)
    theme_message._theme.cache_clear()
    sections: list[str] = []
    look = config.get_options_for_section

    def noting(section: str) -> dict[str, object]:
        sections.append(section)
        return look(section)

    monkeypatch.setattr(app_session.config, "get_options_for_section", noting)
    return sections


def new_session_message() -> NewSession:
    """Return the message that a Streamlit session sends when a page run starts."""

    async def made() -> NewSession:
        session = AppSession(
            ScriptData(str(ROOT / "streamlit_app.py")),
            MemoryUploadedFileManager("/upload"),
            ScriptCache(),
            message_enqueued_callback=None,
            user_info={},
        )
        try:
            return session._create_new_session_message("page", RunDescriptor("run", ())).new_session
        finally:
            session.shutdown()

    return asyncio.run(made())


def test_stock_streamlit_computes_the_theme_for_every_run(worked_out: list[str]) -> None:
    """Once Streamlit fixes this, app/streamlit_internals/theme_message.py can be removed."""
    new_session_message()
    once = len(worked_out)
    new_session_message()
    assert once >= len(SECTIONS)
    assert len(worked_out) == 2 * once


def test_a_run_gets_the_same_theme_from_the_cache(worked_out: list[str]) -> None:
    theirs = new_session_message().custom_theme
    theme_message.install()
    new_session_message()
    worked_out.clear()
    ours = new_session_message().custom_theme
    assert worked_out == []
    assert ours.light.primary_color
    assert ours.SerializeToString(deterministic=True) == theirs.SerializeToString(deterministic=True)
