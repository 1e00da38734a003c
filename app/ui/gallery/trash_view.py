"""The trash as the gallery shows it: what is in it, back or gone for good."""

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
    """How long what was deleted can still be had back."""
    return tr("Deleted pictures stay here for {days} days. Then they are erased for good.", days=KEPT.days)


def act_on_trashed(studio: Studio, user: User, action: GridAction) -> None:
    """Does what was asked of pictures in the trash."""
    if action.kind == "restore":
        restore(studio, user, action.ids)
        st.rerun()
    elif action.kind == "erase":
        confirm_erasure(studio, user, action.ids)
    elif action.kind == "open":
        open_trashed(studio, user, action.ids[0])


def restore(studio: Studio, user: User, ids: Sequence[str]) -> None:
    """Brings pictures back into the gallery and says so."""
    result = studio.trash.restore_many(user, ids)
    tell_left_out(result)
    if result.done:
        st.toast(
            tr_n("{count} picture restored.", "{count} pictures restored.", len(result.done)),
            icon=":material/restore_from_trash:",
        )
    feed.invalidate()


def open_trashed(studio: Studio, user: User, image_id: str) -> None:
    """The dialog on one picture."""
    st.dialog(tr("In the trash"), width="large")(_trashed)(studio, user, image_id)


def _trashed(studio: Studio, user: User, image_id: str) -> None:
    with error_boundary():
        show_trashed(studio, user, image_id)


def show_trashed(studio: Studio, user: User, image_id: str) -> None:
    """The dialog's content: the picture, how long it stays, and both ways out."""
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
                "Erased for good on {day} UTC, {days_left}.",
                day=day(until(image)),
                days_left=days_left(until(image)),
            )
        )
        with st.container(horizontal=True):
            if st.button(tr("Restore"), type="primary", icon=":material/undo:", key="trash_restore"):
                restore(studio, user, [image.id])
                st.rerun()
            with st.popover(tr("Delete for good"), icon=":material/delete_forever:", key="trash_erase"):
                st.markdown(tr("It cannot be brought back."))
                if st.button(tr("Delete for good"), type="primary", key="trash_erase_sure"):
                    _erase(studio, user, [image.id])


def confirm_erasure(studio: Studio, user: User, ids: tuple[str, ...]) -> None:
    """The dialog that asks before chosen pictures are erased."""
    st.dialog(tr("Delete for good"))(_erasure)(studio, user, ids)


def _erasure(studio: Studio, user: User, ids: tuple[str, ...]) -> None:
    with error_boundary():
        ask_and_erase(studio, user, ids)


def ask_and_erase(studio: Studio, user: User, ids: tuple[str, ...]) -> None:
    """The dialog's content; nothing is erased without the button."""
    st.markdown(
        tr_n(
            "Erase {count} picture for good? This cannot be taken back.",
            "Erase {count} pictures for good? This cannot be taken back.",
            len(ids),
        )
    )
    if st.button(tr("Delete for good"), type="primary", icon=":material/delete_forever:", key="erase_sure"):
        _erase(studio, user, ids)


def _erase(studio: Studio, user: User, ids: Sequence[str]) -> None:
    try:
        with st.spinner(tr("Erasing…")):
            result = studio.trash.erase_many(user, ids)
    except StudioError as error:
        show_error(error)
        return
    tell_left_out(result)
    _tell_erased(len(result.done))
    st.rerun()


def confirm_emptying(studio: Studio, user: User) -> None:
    """The dialog that asks before all of it is erased."""
    st.dialog(tr("Empty the trash"))(_emptying)(studio, user)


def _emptying(studio: Studio, user: User) -> None:
    with error_boundary():
        ask_and_empty(studio, user)


def ask_and_empty(studio: Studio, user: User) -> None:
    """The dialog's content; nothing is erased without the button."""
    st.markdown(tr("Erase everything in the trash for good? This cannot be taken back."))
    if not st.button(
        tr("Empty the trash"), type="primary", icon=":material/delete_forever:", key="empty_sure"
    ):
        return
    try:
        with st.spinner(tr("Erasing…")):
            erased = studio.trash.empty(user)
    except StudioError as error:
        show_error(error)
        return
    _tell_erased(erased)
    st.rerun()


def _tell_erased(count: int) -> None:
    st.toast(
        tr_n("{count} picture erased for good.", "{count} pictures erased for good.", count),
        icon=":material/delete_forever:",
    )
