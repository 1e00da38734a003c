"""The theme that Streamlit sends with every run, worked out once.

Streamlit 1.67 goes through all its options six times for each run, a poll too: a sixth of what a poll costs. Ours do
not change while the studio runs. It can go when Streamlit works the theme out once (tests/ui/test_theme_message.py).
"""

from __future__ import annotations

from functools import cache

from streamlit.proto.NewSession_pb2 import CustomThemeConfig
from streamlit.runtime import app_session

_work_out = app_session._populate_theme_msg


def install() -> None:
    """Has Streamlit take the theme of each section from memory after its first use."""
    app_session._populate_theme_msg = populate


def populate(msg: CustomThemeConfig, section: str = "theme") -> None:
    """Fills `msg` as Streamlit's own function of this place does."""
    theme = _theme(section)
    if theme.ByteSize():
        msg.MergeFrom(theme)


@cache
def _theme(section: str) -> CustomThemeConfig:
    theme = CustomThemeConfig()
    _work_out(theme, section)
    return theme
