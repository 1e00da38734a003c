"""The albums: their covers, and creating, renaming, filling, and deleting them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st

from app.i18n.texts import tr, tr_n
from app.state import feed
from app.state.gallery_address import open_album
from app.state.signed_links import link
from app.ui.common.component_assets import script, words
from app.ui.common.error_banner import show_error
from app.ui.common.error_boundary import error_boundary
from app.ui.common.plain_text import one_line, plain
from app.ui.common.undo import tell_left_out
from services.build import Studio
from services.errors import NotFound, StudioError
from services.images.albums import LONGEST_NAME
from services.records import Album, Image, User
from services.search.query import Facets

HERE = Path(__file__).parent


def show_shelf(studio: Studio, user: User, albums: Sequence[Album], facets: Facets) -> None:
    """Draws all albums with cover and picture count; a click opens one. One AWS call per 100 covers."""
    shelves = dict(facets.albums)
    covers = studio.images.some(
        user,
        [
            image_id
            for album in albums
            for image_id in (album.cover, shelves[album.id].newest if album.id in shelves else None)
            if image_id
        ],
    )
    items = []
    for album in albums:
        shelf = shelves.get(album.id)
        cover = covers.get(album.cover or "")
        if cover is None or album.id not in cover.albums:
            cover = covers.get(shelf.newest) if shelf else None
        items.append(
            {
                "id": album.id,
                "name": one_line(album.name),
                "count": tr_n("{count} picture", "{count} pictures", shelf.count if shelf else 0),
                "src": link(studio, cover, "thumbnail") if cover else None,
                "color": cover.color if cover else None,
            }
        )
    known = {album.id for album in albums}
    data = {"items": items, "words": words(HERE, "album_shelf.js")}
    opened = _component()(key="album_shelf", data=data, on_open_change=_nothing).open
    if isinstance(opened, str) and opened in known:
        st.session_state["album_to_open"] = opened
        st.rerun()


def open_chosen_album() -> None:
    """Opens the clicked album; must run before the widgets whose state it changes."""
    chosen = st.session_state.pop("album_to_open", None)
    if chosen is not None:
        open_album(chosen)


def show_new_album(studio: Studio, user: User) -> None:
    """Draws the popover that creates an empty album."""
    with (
        st.popover(tr("New album"), icon=":material/add:", key="album_new"),
        st.form("album_new_form", border=False, clear_on_submit=True),
    ):
        name = st.text_input(tr("Name"), max_chars=LONGEST_NAME, key="album_new_name")
        if st.form_submit_button(tr("Create album"), type="primary"):
            with error_boundary():
                studio.albums.create(user, name)
                st.rerun()


def show_album_head(studio: Studio, user: User, album: Album) -> None:
    """Draws the open album's name and its actions."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="album_head"):
        st.button(
            tr("All albums"), icon=":material/arrow_back:", type="tertiary", key="album_back", on_click=open_album,
            args=(None,),
        )  # fmt: skip
        with st.container(key="album_name"):
            st.text(plain(album.name))
        with st.popover(tr("Change"), icon=":material/edit:", key="album_menu"):
            with st.form("album_rename_form", border=False):
                name = st.text_input(
                    tr("Name"), value=album.name, max_chars=LONGEST_NAME, key=f"album_name_{album.id}"
                )
                if st.form_submit_button(tr("Rename")):
                    with error_boundary():
                        studio.albums.rename(user, album.id, name)
                        st.rerun()
            st.caption(tr("If you delete the album, its pictures stay in the gallery."))
            st.button(
                tr("Delete the album"),
                icon=":material/delete:",
                key="album_delete",
                on_click=_delete,
                args=(studio, user, album),
            )


def _delete(studio: Studio, user: User, album: Album) -> None:
    try:
        studio.albums.delete(user, album.id)
    except StudioError as error:
        st.session_state["album_error"] = error
        return
    open_album(None)
    st.toast(
        tr("The album was deleted. Its pictures are still in the gallery."), icon=":material/photo_album:"
    )


def tell_album_error() -> None:
    """Shows the error of a callback, which runs before anything is drawn."""
    if (error := st.session_state.pop("album_error", None)) is not None:
        show_error(error)


def choose_album(studio: Studio, user: User, images: Sequence[Image], shown: str | None) -> None:
    """Opens the dialog for several pictures; `shown` is the open album."""
    st.dialog(tr("Albums"), on_dismiss="rerun")(_choice_of_album)(studio, user, images, shown)


def _choice_of_album(studio: Studio, user: User, images: Sequence[Image], shown: str | None) -> None:
    with error_boundary():
        ask_for_album(studio, user, tuple(images), shown)


def ask_for_album(studio: Studio, user: User, images: tuple[Image, ...], shown: str | None) -> None:
    """Draws the dialog: an existing or new album to add the pictures to, and albums to remove them from."""
    albums = studio.albums.list(user)
    names = {album.name: album for album in albums}
    ids = [image.id for image in images]
    st.markdown(f"**{tr_n('{count} picture', '{count} pictures', len(ids))}**")
    chosen = st.selectbox(
        tr("Add to"),
        list(names),
        index=None,
        key="album_choice",
        accept_new_options=True,
        placeholder=tr("Choose, or type a new name"),
        format_func=plain,
    )
    theirs = {album_id for image in images for album_id in image.albums}
    within = [album for album in albums if album.id in theirs]
    leave: list[str] = []
    if within:
        leave = st.multiselect(
            tr("Remove from"),
            [album.name for album in within],
            default=[album.name for album in within if album.id == shown and not chosen],
            key="album_leave",
            format_func=plain,
            placeholder=tr("Choose"),
        )
    with st.container(horizontal=True):
        save = st.button(tr("Save"), type="primary", key="album_save", disabled=not (chosen or leave))
        cover = shown in theirs and len(ids) == 1 and st.button(tr("Use as the cover"), key="album_cover")
    if not (save or cover):
        return
    try:
        if cover and shown:
            studio.albums.set_cover(user, shown, ids[0])
            st.toast(tr("The album has a new cover."), icon=":material/photo_album:")
        if save and chosen:
            album = names.get(chosen) or studio.albums.create(user, chosen)
            tell_left_out(studio.albums.put_in(user, album.id, ids), full=_no_place)
        for name in leave if save else ():
            tell_left_out(studio.albums.take_out(user, names[name].id, ids))
    except StudioError as error:
        show_error(error)
        return
    feed.invalidate()
    st.rerun()


def _no_place(count: int) -> str:
    return tr_n(
        "{count} picture is already in the maximum number of albums.",
        "{count} pictures are already in the maximum number of albums.",
        count,
    )


def find_album(albums: Sequence[Album], album_id: str | None) -> Album:
    """Returns the user's album of that id. Raises NotFound, also for another user's album."""
    for album in albums:
        if album.id == album_id:
            return album
    raise NotFound("There is no such album.")


def _nothing() -> None:
    """Does nothing: Streamlit includes a trigger in the result only if it has a callback."""


@cache
def _component() -> Callable[..., Any]:
    return st.components.v2.component(
        "atelier_album_shelf",
        css=(HERE / "album_shelf.css").read_text(encoding="utf-8"),
        js=script(HERE, "words.js", "album_shelf.js"),
    )
