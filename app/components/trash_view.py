"""The trash as the gallery shows it: what is in it, back or gone for good."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from app.components.error_banner import show_error
from app.components.picture_grid import GridAction
from app.components.prompt_text import show_text
from app.components.undo import forget_pictures, tell_left_out
from app.links import link
from app.page_runner import errors_in_words
from app.wording import days_left, plural
from services.build import Studio
from services.errors import NotFound, StudioError
from services.records import User
from services.trash import KEPT, until

KEPT_WORDS = f"Deleted pictures stay here for {KEPT.days} days. Then they are erased for good."


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
        st.toast(f"{plural(len(result.done), 'picture')} restored.", icon=":material/restore_from_trash:")
    forget_pictures()


@st.dialog("In the trash", width="large")
def open_trashed(studio: Studio, user: User, image_id: str) -> None:
    """The dialog on one picture."""
    with errors_in_words():
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
        st.image(link(studio, image, "shown"), width="stretch", alt="The picture")
    with side, st.container(gap="small"):
        with st.container(key="viewer_prompt"):
            show_text(image.prompt)
        st.caption(f"Erased for good on {until(image):%d %b %Y} UTC, {days_left(until(image))}.")
        with st.container(horizontal=True):
            if st.button("Restore", type="primary", icon=":material/undo:", key="trash_restore"):
                restore(studio, user, [image.id])
                st.rerun()
            with st.popover("Delete for good", icon=":material/delete_forever:", key="trash_erase"):
                st.markdown("It cannot be brought back.")
                if st.button("Delete for good", type="primary", key="trash_erase_sure"):
                    _erase(studio, user, [image.id])


@st.dialog("Delete for good")
def confirm_erasure(studio: Studio, user: User, ids: tuple[str, ...]) -> None:
    """The dialog that asks before chosen pictures are erased."""
    with errors_in_words():
        ask_and_erase(studio, user, ids)


def ask_and_erase(studio: Studio, user: User, ids: tuple[str, ...]) -> None:
    """The dialog's content; nothing is erased without the button."""
    st.markdown(f"Erase {plural(len(ids), 'picture')} for good? This cannot be taken back.")
    if st.button("Delete for good", type="primary", icon=":material/delete_forever:", key="erase_sure"):
        _erase(studio, user, ids)


def _erase(studio: Studio, user: User, ids: Sequence[str]) -> None:
    try:
        with st.spinner("Erasing…"):
            result = studio.trash.erase_many(user, ids)
    except StudioError as error:
        show_error(error)
        return
    tell_left_out(result)
    st.toast(f"{plural(len(result.done), 'picture')} erased for good.", icon=":material/delete_forever:")
    st.rerun()


@st.dialog("Empty the trash")
def confirm_emptying(studio: Studio, user: User) -> None:
    """The dialog that asks before all of it is erased."""
    with errors_in_words():
        ask_and_empty(studio, user)


def ask_and_empty(studio: Studio, user: User) -> None:
    """The dialog's content; nothing is erased without the button."""
    st.markdown("Erase everything in the trash for good? This cannot be taken back.")
    if not st.button("Empty the trash", type="primary", icon=":material/delete_forever:", key="empty_sure"):
        return
    try:
        with st.spinner("Erasing…"):
            erased = studio.trash.empty(user)
    except StudioError as error:
        show_error(error)
        return
    st.toast(f"{plural(erased, 'picture')} erased for good.", icon=":material/delete_forever:")
    st.rerun()
