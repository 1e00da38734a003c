"""The trash in the gallery: lists, restores, and permanently deletes pictures."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from app.i18n.texts import tr, tr_n
from app.i18n.wording import day, days_left
from app.state import feed
from app.state.signed_links import link
from app.ui.common.error_banner import show_error
from app.ui.common.error_boundary import error_boundary
from app.ui.common.prompt_text import show_text
from app.ui.common.undo import tell_left_out
from app.ui.gallery.picture_grid import GridAction
from services.build import Studio
from services.errors import NotFound, StudioError
from services.images.trash import KEPT, until
from services.records import User


def kept_words() -> str:
    """Says how long deleted pictures can be restored."""
    return tr(
        "Deleted pictures stay here for {days} days. Then they are permanently deleted.", days=KEPT.days
    )


def act_on_trashed(studio: Studio, user: User, action: GridAction) -> None:
    """Performs an action on pictures in the trash."""
    if action.kind == "restore":
        restore(studio, user, action.ids)
        st.rerun()
    elif action.kind == "erase":
        confirm_erasure(studio, user, action.ids)
    elif action.kind == "open":
        open_trashed(studio, user, action.ids[0])


def restore(studio: Studio, user: User, ids: Sequence[str]) -> None:
    """Restores pictures to the gallery and confirms it."""
    result = studio.trash.restore_many(user, ids)
    tell_left_out(result)
    if result.done:
        st.toast(
            tr_n("{count} picture restored.", "{count} pictures restored.", len(result.done)),
            icon=":material/restore_from_trash:",
        )
    feed.invalidate()


def open_trashed(studio: Studio, user: User, image_id: str) -> None:
    """Opens the dialog on one picture."""
    st.dialog(tr("In the trash"), width="large")(_trashed)(studio, user, image_id)


def _trashed(studio: Studio, user: User, image_id: str) -> None:
    with error_boundary():
        show_trashed(studio, user, image_id)


def show_trashed(studio: Studio, user: User, image_id: str) -> None:
    """Draws the dialog: the picture, the time left, and the buttons to restore or delete it."""
    try:
        image = studio.trash.get(user, image_id)
    except NotFound as error:
        show_error(error)
        return
    picture, side = st.columns([3, 2], gap="medium")
    with picture:
        st.image(link(studio, image, "shown"), width="stretch", alt=tr("The picture"))
    with side, st.container(gap="small"):
        with st.container(key="viewer_prompt"):
            show_text(image.prompt)
        st.caption(
            tr(
                "Permanently deleted on {day} UTC, {days_left}.",
                day=day(until(image)),
                days_left=days_left(until(image)),
            )
        )
        with st.container(horizontal=True):
            if st.button(tr("Restore"), type="primary", icon=":material/undo:", key="trash_restore"):
                restore(studio, user, [image.id])
                st.rerun()
            with st.popover(tr("Delete permanently"), icon=":material/delete_forever:", key="trash_erase"):
                st.markdown(tr("This cannot be undone."))
                if st.button(tr("Delete permanently"), type="primary", key="trash_erase_sure"):
                    _erase(studio, user, [image.id])


def confirm_erasure(studio: Studio, user: User, ids: tuple[str, ...]) -> None:
    """Opens the dialog that asks before the selected pictures are permanently deleted."""
    st.dialog(tr("Delete permanently"))(_erasure)(studio, user, ids)


def _erasure(studio: Studio, user: User, ids: tuple[str, ...]) -> None:
    with error_boundary():
        ask_and_erase(studio, user, ids)


def ask_and_erase(studio: Studio, user: User, ids: tuple[str, ...]) -> None:
    """Draws the dialog; only its button deletes anything."""
    st.markdown(
        tr_n(
            "Permanently delete {count} picture? This cannot be undone.",
            "Permanently delete {count} pictures? This cannot be undone.",
            len(ids),
        )
    )
    if st.button(
        tr("Delete permanently"), type="primary", icon=":material/delete_forever:", key="erase_sure"
    ):
        _erase(studio, user, ids)


def _erase(studio: Studio, user: User, ids: Sequence[str]) -> None:
    try:
        with st.spinner(tr("Deleting…")):
            result = studio.trash.erase_many(user, ids)
    except StudioError as error:
        show_error(error)
        return
    tell_left_out(result)
    _tell_erased(len(result.done))
    st.rerun()


def confirm_emptying(studio: Studio, user: User) -> None:
    """Opens the dialog that asks before the trash is emptied."""
    st.dialog(tr("Empty the trash"))(_emptying)(studio, user)


def _emptying(studio: Studio, user: User) -> None:
    with error_boundary():
        ask_and_empty(studio, user)


def ask_and_empty(studio: Studio, user: User) -> None:
    """Draws the dialog; only its button deletes anything."""
    st.markdown(tr("Permanently delete everything in the trash? This cannot be undone."))
    if not st.button(
        tr("Empty the trash"), type="primary", icon=":material/delete_forever:", key="empty_sure"
    ):
        return
    try:
        with st.spinner(tr("Deleting…")):
            erased = studio.trash.empty(user)
    except StudioError as error:
        show_error(error)
        return
    _tell_erased(erased)
    st.rerun()


def _tell_erased(count: int) -> None:
    st.toast(
        tr_n("{count} picture permanently deleted.", "{count} pictures permanently deleted.", count),
        icon=":material/delete_forever:",
    )
