"""Pictures as one ZIP: what is to go in, how far it is, and where to fetch it."""

from __future__ import annotations

import time
from collections.abc import Sequence

import streamlit as st

from app.components.error_banner import show_error
from app.links import RENEW_AFTER_S
from app.page_runner import errors_in_words
from app.wording import ago, file_size, plural
from services.build import Studio
from services.errors import StudioError
from services.export_records import Export, ExportStatus
from services.exports import KEPT, MOST_PICTURES, OPEN
from services.records import Image, User
from services.search_query import PictureQuery

LOOK_EVERY_S = 1.5
WITH_SETTINGS, PICTURES_ONLY = "With their settings", "Pictures only"
HELP = {
    WITH_SETTINGS: "Each file keeps its prompt and settings, and a list of all of them is in the ZIP.",
    PICTURES_ONLY: "No prompts and no settings, neither in the files nor in their names: for showing to others.",
}


@st.dialog("Download as ZIP", on_dismiss="rerun")
def offer_zip_of(studio: Studio, user: User, images: Sequence[Image]) -> None:
    """The dialog on chosen pictures."""
    with errors_in_words():
        ids = tuple(image.id for image in images)
        show_offer(studio, user, ids, len(ids), sum(image.size_bytes for image in images))


@st.dialog("Download as ZIP", on_dismiss="rerun")
def offer_zip_of_view(studio: Studio, user: User, query: PictureQuery) -> None:
    """The dialog on all pictures that a query lets through."""
    with errors_in_words():
        show_offer(studio, user, *studio.search.ids(user, query, most=MOST_PICTURES + 1))


def show_offer(studio: Studio, user: User, ids: tuple[str, ...], pictures: int, size_bytes: int) -> None:
    """The dialog's content: the order of a ZIP of these pictures, and those that were ordered before."""
    if pictures:
        st.markdown(f"**{pictures:,} {'picture' if pictures == 1 else 'pictures'}**, {file_size(size_bytes)}")
        kind = st.radio("What goes in", list(HELP), captions=list(HELP.values()), key="export_kind")
        if st.button("Make the ZIP", type="primary", icon=":material/folder_zip:", key="export_order"):
            try:
                studio.exports.order(user, ids, size_bytes=size_bytes, settings=kind == WITH_SETTINGS)
            except StudioError as error:
                show_error(error)
    live_exports(studio, user)


def live_exports(studio: Studio, user: User) -> None:
    """The user's ZIPs, newest first, looked at again by themselves while one is being made."""
    read = [studio.exports.list(user)]
    waiting = any(export.status in OPEN for export in read[0])
    st.fragment(_show_exports, run_every=LOOK_EVERY_S if waiting else None)(studio, user, read)


def _show_exports(studio: Studio, user: User, read: list[tuple[Export, ...]]) -> None:
    """`read` is what the run of the page has just read; it is used up by it, and later runs read anew."""
    with errors_in_words():
        exports = read.pop() if read else studio.exports.list(user)
        if not exports:
            return
        st.caption(
            f"Your ZIPs. Each is kept for {round(KEPT.total_seconds() / 3600)} hours; "
            "it is made without this page, too."
        )
        for export in exports:
            with st.container(
                horizontal=True, vertical_alignment="center", gap="small", key=f"export_{export.id}"
            ):
                _show_export(studio, user, export)


def _show_export(studio: Studio, user: User, export: Export) -> None:
    what = plural(export.pictures, "picture") + ("" if export.settings else ", no settings")
    with st.container(gap=None):
        st.markdown(f"{what}, {ago(export.created_at)}")
        st.caption(_state(export))
        if export.status in OPEN:
            st.progress(export.done / max(1, export.pictures))
    if export.status is ExportStatus.READY:
        st.link_button(
            "Download",
            _link(studio, export),
            icon=":material/download:",
            type="primary",
            key=f"export_get_{export.id}",
        )
    st.button(
        "Cancel" if export.status in OPEN else "Delete",
        key=f"export_drop_{export.id}",
        type="tertiary",
        on_click=_drop,
        args=(studio, user, export.id),
    )


def _link(studio: Studio, export: Export) -> str:
    """The link to a ZIP, the same one for a while: a list that is looked at again must not change under the pointer."""
    kept: dict[str, tuple[str, float]] = st.session_state.setdefault("export_links", {})
    known = kept.get(export.id)
    if known is None or time.monotonic() - known[1] > RENEW_AFTER_S:
        known = kept[export.id] = (studio.exports.link(export), time.monotonic())
    return known[0]


def _state(export: Export) -> str:
    match export.status:
        case ExportStatus.WAITING:
            return "Waits for its turn"
        case ExportStatus.WORKING:
            return f"{export.done:,} of {export.pictures:,}"
        case ExportStatus.READY:
            missing = f"; {plural(export.missing, 'picture')} no longer there" if export.missing else ""
            return f"Ready, {file_size(export.size_bytes or 0)}{missing}"
        case ExportStatus.FAILED:
            return "It could not be made. Nothing is lost: order it again."


def _drop(studio: Studio, user: User, export_id: str) -> None:
    try:
        studio.exports.delete(user, export_id)
    except StudioError:
        # Gone already, by another window or by time: what was wanted.
        return
