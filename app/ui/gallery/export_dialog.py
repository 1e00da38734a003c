"""The ZIP export: its options, its progress, and the download."""

from __future__ import annotations

import time
from collections.abc import Sequence

import streamlit as st

from app.i18n.texts import decimal_comma, mark, number, tr, tr_n
from app.i18n.wording import ago, file_size
from app.state.signed_links import RENEW_AFTER_S
from app.ui.common.error_banner import show_error
from app.ui.common.error_boundary import error_boundary
from services.build import Studio
from services.errors import StudioError
from services.exports.orders import KEPT, MOST_PICTURES, OPEN
from services.records import Image, User
from services.search.query import PictureQuery
from services.store.exports import Export, ExportStatus

LOOK_EVERY_S = 1.5
WITH_SETTINGS, PICTURES_ONLY = mark("With their settings"), mark("Pictures only")
HELP = {
    WITH_SETTINGS: mark(
        "Each file keeps its prompt and settings. The ZIP also contains a list of all pictures."
    ),
    PICTURES_ONLY: mark("For sharing: the files and their names contain no prompts or settings."),
}


def offer_zip_of(studio: Studio, user: User, images: Sequence[Image]) -> None:
    """Opens the dialog for the selected pictures."""
    st.dialog(tr("Download as ZIP"), on_dismiss="rerun")(_zip_of)(studio, user, images)


def _zip_of(studio: Studio, user: User, images: Sequence[Image]) -> None:
    with error_boundary():
        ids = tuple(image.id for image in images)
        show_offer(studio, user, ids, len(ids), sum(image.size_bytes for image in images))


def offer_zip_of_view(studio: Studio, user: User, query: PictureQuery) -> None:
    """Opens the dialog for all pictures that match a query."""
    st.dialog(tr("Download as ZIP"), on_dismiss="rerun")(_zip_of_view)(studio, user, query)


def _zip_of_view(studio: Studio, user: User, query: PictureQuery) -> None:
    with error_boundary():
        show_offer(studio, user, *studio.search.ids(user, query, most=MOST_PICTURES + 1))


def show_offer(studio: Studio, user: User, ids: tuple[str, ...], pictures: int, size_bytes: int) -> None:
    """Draws the dialog: the form for a ZIP of these pictures, and the ZIPs requested earlier."""
    if pictures:
        many = tr_n("{count} picture", "{count} pictures", pictures)
        st.markdown(f"**{many}**, {file_size(size_bytes)}")
        kind = st.radio(
            tr("Contents"),
            list(HELP),
            format_func=tr,
            captions=[tr(words) for words in HELP.values()],
            key="export_kind",
        )
        if st.button(tr("Create ZIP"), type="primary", icon=":material/folder_zip:", key="export_order"):
            try:
                studio.exports.order(
                    user,
                    ids,
                    size_bytes=size_bytes,
                    settings=kind == WITH_SETTINGS,
                    decimal_comma=decimal_comma(),
                )
            except StudioError as error:
                show_error(error)
    live_exports(studio, user)


def live_exports(studio: Studio, user: User) -> None:
    """Lists the user's ZIPs, newest first; polls while one is being created."""
    read = [studio.exports.list(user)]
    waiting = any(export.status in OPEN for export in read[0])
    st.fragment(_show_exports, run_every=LOOK_EVERY_S if waiting else None)(studio, user, read)


def _show_exports(studio: Studio, user: User, read: list[tuple[Export, ...]]) -> None:
    """Draws the list. `read` is what this run of the page has already read; later runs read again."""
    with error_boundary():
        exports = read.pop() if read else studio.exports.list(user)
        if not exports:
            return
        st.caption(
            tr(
                "Your ZIPs. Each is kept for {hours} hours. You can close this page while a ZIP is being "
                "created.",
                hours=round(KEPT.total_seconds() / 3600),
            )
        )
        for export in exports:
            with st.container(
                horizontal=True, vertical_alignment="center", gap="small", key=f"export_{export.id}"
            ):
                _show_export(studio, user, export)


def _show_export(studio: Studio, user: User, export: Export) -> None:
    what = [tr_n("{count} picture", "{count} pictures", export.pictures)]
    if not export.settings:
        what.append(tr("no settings"))
    with st.container(gap=None):
        st.markdown(", ".join([*what, ago(export.created_at)]))
        st.caption(_state(export))
        if export.status in OPEN:
            st.progress(export.done / max(1, export.pictures))
    if export.status is ExportStatus.READY:
        st.link_button(
            tr("Download"),
            _link(studio, export),
            icon=":material/download:",
            type="primary",
            key=f"export_get_{export.id}",
        )
    st.button(
        tr("Cancel") if export.status in OPEN else tr("Delete"),
        key=f"export_drop_{export.id}",
        type="tertiary",
        on_click=_drop,
        args=(studio, user, export.id),
    )


def _link(studio: Studio, export: Export) -> str:
    """Returns the link to a ZIP, cached for a while: a polled list must not change under the pointer."""
    kept: dict[str, tuple[str, float]] = st.session_state.setdefault("export_links", {})
    known = kept.get(export.id)
    if known is None or time.monotonic() - known[1] > RENEW_AFTER_S:
        known = kept[export.id] = (studio.exports.link(export), time.monotonic())
    return known[0]


def _state(export: Export) -> str:
    match export.status:
        case ExportStatus.WAITING:
            return tr("Queued")
        case ExportStatus.WORKING:
            return tr("{done} of {total}", done=number(export.done), total=number(export.pictures))
        case ExportStatus.READY:
            ready = tr("Ready, {size}", size=file_size(export.size_bytes or 0))
            if not export.missing:
                return ready
            missing = tr_n(
                "{count} picture no longer exists", "{count} pictures no longer exist", export.missing
            )
            return f"{ready}; {missing}"
        case ExportStatus.FAILED:
            return tr("The ZIP could not be created. Your pictures are safe; create it again.")


def _drop(studio: Studio, user: User, export_id: str) -> None:
    try:
        studio.exports.delete(user, export_id)
    except StudioError:
        # Already deleted in another window or expired, which is the wanted result.
        return
