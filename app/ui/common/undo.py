"""The undo bar after a deletion, shown on every page until it is used or dismissed."""

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
    """Moves pictures to the trash and shows the undo bar."""
    result = studio.trash.put_many(user, ids)
    tell_left_out(result)
    if result.done:
        st.session_state["deleted"] = result.done
    feed.invalidate()


def undo_waits() -> bool:
    """Whether the bar is shown."""
    return bool(st.session_state.get("deleted"))


def show_undo(studio: Studio, user: User) -> None:
    """Draws the bar if there is something to undo."""
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
    """The message about `count` pictures that cannot have another tag."""
    return tr_n(
        "{count} picture already has the maximum number of tags.",
        "{count} pictures already have the maximum number of tags.",
        count,
    )


def tell_left_out(result: BulkResult, *, full: Callable[[int], str] = no_more_tags) -> None:
    """Reports the pictures that could not be changed; `full` words the message for pictures at a maximum."""
    if result.missing:
        st.toast(
            tr_n(
                "{count} picture no longer exists and was not changed.",
                "{count} pictures no longer exist and were not changed.",
                len(result.missing),
            ),
            icon=":material/info:",
        )
    if result.full:
        st.toast(full(len(result.full)), icon=":material/info:")
