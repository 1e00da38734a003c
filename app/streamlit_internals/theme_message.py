"""Computes the theme that Streamlit sends with every run only once.

Streamlit 1.67 reads all its options six times per run, which is a sixth of the cost of a poll. The options do
not change while the studio runs. Remove when Streamlit computes the theme once (tests/ui/test_theme_message.py).
"""

from __future__ import annotations

from functools import cache

from streamlit.proto.NewSession_pb2 import CustomThemeConfig
from streamlit.runtime import app_session

_work_out = app_session._populate_theme_msg


def install() -> None:
    """Makes Streamlit cache the theme of each section after its first use."""
    app_session._populate_theme_msg = populate


def populate(msg: CustomThemeConfig, section: str = "theme") -> None:
    """Fills `msg` as Streamlit's original function does."""
    theme = _theme(section)
    if theme.ByteSize():
        msg.MergeFrom(theme)


@cache
def _theme(section: str) -> CustomThemeConfig:
    theme = CustomThemeConfig()
    _work_out(theme, section)
    return theme
