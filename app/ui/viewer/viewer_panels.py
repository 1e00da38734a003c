"""The viewer's panels: variations, comparison, re-run, sharing. One is open at a time; only it reads data."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from app.i18n.texts import mark, tr
from app.ui.gallery.picture_grid import picture_grid
from app.ui.viewer.reproduction_panel import REOPEN, reproduction_panel
from app.ui.viewer.share_panel import NEW_SHARE, share_panel
from app.ui.viewer.variation_panel import variation_panel
from services.build import Studio
from services.records import Image, Job, User

__all__ = ["PANEL", "REOPEN", "forget_panels", "panel_buttons", "show_panel"]

PANEL = "viewer_panel"
RECENT = 12
PANELS = {
    "variations": (mark("Variations"), ":material/auto_awesome_motion:"),
    "compare": (mark("Compare"), ":material/compare:"),
    "again": (mark("Draw again"), ":material/verified:"),
    "share": (mark("Share"), ":material/share:"),
}


def panel_buttons() -> None:
    """Draws a button per panel; the button of the open panel is highlighted and closes it."""
    for name, (label, icon) in PANELS.items():
        st.button(
            tr(label),
            icon=icon,
            key=f"viewer_panel_{name}",
            type="primary" if st.session_state.get(PANEL) == name else "secondary",
            on_click=_toggle,
            args=(name,),
        )


def _toggle(name: str) -> None:
    already = st.session_state.get(PANEL) == name
    forget_panels()
    if not already:
        st.session_state[PANEL] = name


def forget_panels() -> None:
    """Closes the open panel and drops its cached data."""
    for key in (PANEL, NEW_SHARE):
        st.session_state.pop(key, None)


def show_panel(
    studio: Studio,
    user: User,
    image: Image,
    job: Job,
    image_ids: tuple[str, ...],
    compare_with: Callable[[str, str], None],
) -> Job | None:
    """Draws the open panel; returns a job that it just started, to be watched."""
    name = st.session_state.get(PANEL)
    if name not in PANELS:
        return None
    with st.container(border=True, key="viewer_panel_box", gap="small"):
        if name == "variations":
            return variation_panel(studio, user, job)
        if name == "compare":
            compare_panel(studio, user, image, image_ids, compare_with)
        elif name == "again":
            reproduction_panel(studio, user, image, job, compare_with)
        else:
            share_panel(studio, user, image)
    return None


def compare_panel(
    studio: Studio,
    user: User,
    image: Image,
    image_ids: tuple[str, ...],
    compare_with: Callable[[str, str], None],
) -> None:
    """Draws the choice of a picture to compare with: the neighbors or one of the newest."""
    st.markdown(f"**{tr('Compare with')}**")
    here = image_ids.index(image.id) if image.id in image_ids else 0
    near = {here - 1: tr("Previous picture"), here + 1: tr("Next picture")} if image.id in image_ids else {}
    with st.container(horizontal=True, gap="small"):
        for there, label in near.items():
            if 0 <= there < len(image_ids):
                st.button(
                    label, key=f"compare_{there}", on_click=compare_with, args=(image.id, image_ids[there])
                )
    recent = [one for one in studio.images.list(user, limit=RECENT + 1).items if one.id != image.id][:RECENT]
    if not recent and len(image_ids) < 2:
        st.caption(tr("There is no other picture yet."))
        return
    st.caption(tr("Or one of the newest:"))
    action = picture_grid(studio, recent, key="compare_grid", label=tr("Newest pictures"), plain=True)
    if action is not None and action.kind == "open":
        compare_with(image.id, action.ids[0])
        st.rerun(scope="fragment")
