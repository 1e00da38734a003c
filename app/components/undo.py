"""What was just deleted, and the way to have it back: a bar over every page until it is used or put away."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from app.page_runner import errors_in_words
from app.wording import plural
from services.build import Studio
from services.bulk import BulkResult
from services.records import User


def delete(studio: Studio, user: User, ids: Sequence[str]) -> None:
    """Moves pictures into the trash and has the bar offer them back."""
    result = studio.trash.put_many(user, ids)
    tell_left_out(result)
    if result.done:
        st.session_state["deleted"] = result.done
    forget_pictures()


def undo_waits() -> bool:
    """True while the bar is there."""
    return bool(st.session_state.get("deleted"))


def show_undo(studio: Studio, user: User) -> None:
    """The bar, when there is something to take back."""
    ids: tuple[str, ...] = st.session_state.get("deleted", ())
    if not ids:
        return
    with st.container(key="undo_bar", horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"{plural(len(ids), 'picture')} deleted", width="content")
        back = st.button("Undo", icon=":material/undo:", key="undo", type="tertiary")
        st.button(
            "Hide", icon=":material/close:", key="undo_close", type="tertiary", help="Hide", on_click=_hide
        )
    if back:
        with errors_in_words():
            tell_left_out(studio.trash.restore_many(user, ids))
            _hide()
            forget_pictures()
            st.rerun()


def _hide() -> None:
    st.session_state.pop("deleted", None)


def forget_pictures() -> None:
    """Has the pages read the pictures anew that they remember, and count them again."""
    st.session_state.pop("feed", None)
    st.session_state.pop("facets_of", None)


def tell_left_out(result: BulkResult, *, full: str = "took no more tags") -> None:
    """Says what of a change to several pictures could not be done; `full` is what became of those without a place."""
    if result.missing:
        st.toast(
            f"{plural(len(result.missing), 'picture')} could not be changed: no longer there.",
            icon=":material/info:",
        )
    if result.full:
        st.toast(f"{plural(len(result.full), 'picture')} {full}.", icon=":material/info:")
