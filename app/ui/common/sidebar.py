"""The sidebar: the pages by section, the signed-in user, and sign-out. On phones it collapses after a choice."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st

from app.auth.session import sign_out
from app.i18n.texts import current, tr
from app.navigation import PAGES
from app.state.preferences import preferred
from app.ui.common.plain_text import one_line
from app.ui.common.prompt_text import show_text
from services.build import Studio
from services.records import User

HERE = Path(__file__).parent


def sidebar(studio: Studio, user: User, pages: Mapping[str, Sequence[st.Page]]) -> None:
    """Draws the sidebar. It has its own links because screen readers cannot read Streamlit's menu as a list."""
    with st.sidebar:
        with st.container(key="pages", gap="xsmall"):
            for section, entries in pages.items():
                shown = [page for page in entries if page.visibility == "visible"]
                if shown:
                    st.caption(tr(section))
                for page in shown:
                    st.page_link(page, width="stretch")
            _component()(
                key="page_frame",
                data={
                    "theme": preferred(studio, user).theme.capitalize(),
                    "language": current(),
                    "paths": [f"/{entry.path}" for entry in PAGES],
                },
                # Registers the trigger: its only effect is the run.
                on_reconnected_change=lambda: None,
            )
        with st.container(key="who", horizontal=True, vertical_alignment="center", gap="small"):
            show_text(one_line(user.name or user.email, 28))
            if st.button(
                tr("Sign out"),
                icon=":material/logout:",
                type="tertiary",
                help=tr("Sign out"),
                key="icon_sign_out",
            ):
                sign_out()


@cache
def _component() -> Callable[..., Any]:
    return st.components.v2.component(
        "atelier_page_frame", js=(HERE / "page_frame.js").read_text(encoding="utf-8")
    )
