"""What was just deleted, and the way to have it back: a bar over every page until it is used or put away."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import streamlit as st

from app.i18n.texts import tr, tr_n
from app.state import feed
from app.ui.common.error_boundary import error_boundary
from services.build import Studio
from services.images.bulk_changes import BulkResult
from services.records import User


def delete(studio: Studio, user: User, ids: Sequence[str]) -> None:
    """Moves pictures into the trash and has the bar offer them back."""
    result = studio.trash.put_many(user, ids)
    tell_left_out(result)
    if result.done:
        st.session_state["deleted"] = result.done
    feed.invalidate()


def undo_waits() -> bool:
    """True while the bar is there."""
    return bool(st.session_state.get("deleted"))


def show_undo(studio: Studio, user: User) -> None:
    """The bar, when there is something to take back."""
    ids: tuple[str, ...] = st.session_state.get("deleted", ())
    if not ids:
        return
    with st.container(key="undo_bar", horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(tr_n("{count} picture deleted", "{count} pictures deleted", len(ids)), width="content")
        back = st.button(tr("Undo"), icon=":material/undo:", key="undo", type="tertiary")
        st.button(
            tr("Hide"),
            icon=":material/close:",
            key="undo_close",
            type="tertiary",
            help=tr("Hide"),
            on_click=_hide,
        )
    if back:
        with error_boundary():
            tell_left_out(studio.trash.restore_many(user, ids))
            _hide()
            feed.invalidate()
            st.rerun()


def _hide() -> None:
    st.session_state.pop("deleted", None)


def no_more_tags(count: int) -> str:
    """What became of so many pictures without a place for another tag."""
    return tr_n("{count} picture took no more tags.", "{count} pictures took no more tags.", count)


def tell_left_out(result: BulkResult, *, full: Callable[[int], str] = no_more_tags) -> None:
    """Says what of a change to several pictures could not be done; `full` says it of so many without a place."""
    if result.missing:
        st.toast(
            tr_n(
                "{count} picture could not be changed: no longer there.",
                "{count} pictures could not be changed: no longer there.",
                len(result.missing),
            ),
            icon=":material/info:",
        )
    if result.full:
        st.toast(full(len(result.full)), icon=":material/info:")
