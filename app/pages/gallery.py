"""All pictures of a user: view, search, select, mark, add to albums, download, delete, and restore."""

from __future__ import annotations

import streamlit as st

from app.ui.gallery.album_shelf import (
    choose_album,
    find_album,
    open_chosen_album,
    show_album_head,
    show_new_album,
    show_shelf,
    tell_album_error,
)
from app.ui.common.error_banner import show_error
from app.ui.gallery.export_dialog import offer_zip_of, offer_zip_of_view
from app.ui.gallery.gallery_filters import show_chips, show_filters, show_order
from app.ui.gallery.picture_grid import picture_grid
from app.ui.gallery.picture_marks import known_tags
from app.ui.gallery.trash_view import act_on_trashed, confirm_emptying, kept_words
from app.ui.common.undo import undo_waits
from app.ui.viewer.viewer import act_on, open_linked
from app.state.gallery_address import (
    SHOW,
    SHOWS,
    GalleryView,
    Show,
    current_view,
    forget_cursor,
    restore_widgets,
    show_changed,
)
from app.i18n.texts import number, tr, mark, tr_n
from app.navigation import GENERATE
from app.auth.session import require, studio
from services.build import Studio
from services.errors import InvalidRequest, NotFound
from services.records import Album, User
from services.search.query import Facets, Found

user = require()

PAGE_SIZE = 60
SHOW_WORDS: dict[Show, str] = {
    "All": mark("All"),
    "Favorites": mark("Favorites"),
    "Albums": mark("Albums"),
    "Trash": mark("Trash"),
}
# Filter counts and names may miss pictures that other windows and programs added within this time; the list
# itself is always current.
FACETS_S = 30.0


def read_facets(studio: Studio, user: User) -> Facets:
    """The values the pictures can be filtered by, cached; read again after a change on this page or when stale."""
    fresh = st.session_state.get("facets_of") == user.id
    st.session_state["facets_of"] = user.id
    return studio.search.facets(user, max_age_s=FACETS_S if fresh else 0)


def read_albums(studio: Studio, user: User, facets: Facets, view: GalleryView) -> tuple[Album, ...]:
    """The user's albums, read only if the view shows or filters by them; otherwise no AWS call."""
    if view.show == "Albums" or view.query.album or facets.albums:
        key = ("albums", user.id, facets)
        known: tuple[object, tuple[Album, ...]] | None = st.session_state.get("albums_of")
        if known is None or known[0] != key or view.show == "Albums":
            known = (key, studio.albums.list(user))
            st.session_state["albums_of"] = known
        return known[1]
    return ()


def read_page(studio: Studio, user: User, view: GalleryView, facets: Facets) -> Found:
    """Returns the page that the URL asks for; an invalid cursor leads to the first page."""
    after = st.query_params.get("after")
    try:
        return list_pictures(studio, user, view, facets, after)
    except InvalidRequest as error:
        if error.param != "after":
            raise
        forget_cursor()
        return list_pictures(studio, user, view, facets, None)


def list_pictures(studio: Studio, user: User, view: GalleryView, facets: Facets, after: str | None) -> Found:
    """Returns one page of the view: from one table query if its order fits, else from the search."""
    if view.show == "Trash":
        page = studio.trash.list(user, limit=PAGE_SIZE, after=after)
        return Found(items=page.items, total=len(page.items), next=page.next)
    if not view.plain:
        return studio.search.find(user, view.query, limit=PAGE_SIZE, after=after)
    page = studio.images.list(user, limit=PAGE_SIZE, after=after)
    alone = not after and page.next is None
    return Found(items=page.items, total=len(page.items) if alone else facets.total, next=page.next)


def show_head() -> None:
    """Draws the title and the choice of list."""
    with st.container(horizontal=True, vertical_alignment="center", key="page_head"):
        st.title(tr("Gallery"), anchor=False, width="content")
        st.space("stretch")
        st.segmented_control(
            tr("Show"),
            SHOWS,
            required=True,
            format_func=lambda show: tr(SHOW_WORDS[show]),
            key=SHOW,
            label_visibility="collapsed",
            on_change=show_changed,
        )


def paging(view: GalleryView, page: Found) -> None:
    """Draws the links to the next page, by a cursor in the URL, and to the first page."""
    after = st.query_params.get("after")
    if not after and not page.next:
        return
    by_time = view.query.sort == "newest"
    with st.container(
        horizontal=True, horizontal_alignment="center", vertical_alignment="center", key="paging"
    ):
        if st.button(
            tr("Newest") if by_time else tr("First page"),
            icon=":material/first_page:",
            disabled=not after,
            key="newest",
        ):
            forget_cursor()
            st.rerun()
        if page.before or (page.next and not view.plain and view.show != "Trash"):
            st.caption(
                tr(
                    "{first} to {last} of {total}",
                    first=number(page.before + 1),
                    last=number(page.before + len(page.items)),
                    total=number(page.total),
                ),
                width="content",
            )
        if (
            st.button(
                tr("Older") if by_time else tr("Next page"),
                icon=":material/chevron_right:",
                disabled=not page.next,
                key="older",
            )
            and page.next
        ):
            st.query_params["after"] = page.next
            st.rerun()


def nothing_here(view: GalleryView) -> None:
    """Draws the empty state that fits the view."""
    icon, words, help = (
        ":material/photo_library:",
        tr("Your gallery is empty."),
        tr("Every picture you draw is kept here, together with its settings."),
    )
    if view.show == "Trash":
        icon, words, help = ":material/delete:", tr("The trash is empty."), kept_words()
    elif view.filtered:
        icon, words, help = (
            ":material/filter_alt:",
            tr("No matching pictures."),
            tr(
                "No picture matches the search and all filters. Remove a filter, or search for the "
                "beginning of a word: “app” finds apple."
            ),
        )
    elif view.query.album:
        icon, words = ":material/photo_album:", tr("This album is empty.")
        help = tr("Select pictures in the gallery, then choose Album in the bar that appears.")
    elif view.show == "Favorites":
        icon, words = ":material/star:", tr("No favorites yet.")
        help = tr("Point to a picture and click the star, or focus the picture and press `.`.")
    say_nothing(icon, words, help)
    if view.plain and st.button(
        tr("Draw the first one"), type="primary", icon=":material/auto_awesome:", key="draw_first"
    ):
        st.switch_page(GENERATE)


def say_nothing(icon: str, words: str, help: str) -> None:
    """Draws the frame of an empty state."""
    with st.container(border=True, key="gallery_empty", horizontal_alignment="center", gap="small"):
        st.markdown(f"### {icon}", text_alignment="center")
        st.markdown(f"**{words}**", text_alignment="center")
        st.caption(help, text_alignment="center")


def show_trash(page: Found) -> None:
    """Draws the pictures in the trash and the button that empties it."""
    with st.container(horizontal=True, vertical_alignment="center", key="trash_head"):
        st.caption(kept_words(), width="stretch")
        if st.button(
            tr("Empty the trash"), icon=":material/delete_forever:", type="tertiary", key="trash_empty"
        ):
            confirm_emptying(studio(), user)
    action = picture_grid(
        studio(),
        page.items,
        key="trash_grid",
        label=tr("Trash"),
        select=True,
        trash=True,
        lifted=undo_waits(),
    )
    if action is not None:
        act_on_trashed(studio(), user, action)


def show_pictures(view: GalleryView, page: Found) -> None:
    """Draws the pictures of the gallery."""
    known_tags(tag for image in page.items for tag in image.tags)
    action = picture_grid(
        studio(), page.items, key="gallery_grid", label=tr("Gallery"), select=True, lifted=undo_waits()
    )
    if action is None:
        return
    chosen = [image for image in page.items if image.id in action.ids]
    if action.kind == "album":
        choose_album(studio(), user, chosen, view.query.album)
    elif action.kind == "zip":
        offer_zip_of(studio(), user, chosen)
    else:
        act_on(studio(), user, action, page.items)


def show_albums(albums: tuple[Album, ...], facets: Facets) -> None:
    """Draws all albums and the button for a new one."""
    with st.container(horizontal=True, vertical_alignment="center", key="albums_head"):
        st.caption(tr_n("{count} album", "{count} albums", len(albums)), width="stretch")
        show_new_album(studio(), user)
    if albums:
        show_shelf(studio(), user, albums, facets)
    else:
        say_nothing(
            ":material/photo_album:",
            tr("No albums yet."),
            tr(
                "Create one here, or select pictures in the gallery and choose Album in the bar that appears."
            ),
        )


def show_list(view: GalleryView, names: dict[str, str], facets: Facets) -> None:
    """Draws the pictures that match the view, their number, and the active filters."""
    page = read_page(studio(), user, view, facets)
    if view.show == "Trash":
        show_trash(page) if page.items else nothing_here(view)
    else:
        with st.container(horizontal=True, vertical_alignment="center", gap="small", key="gallery_result"):
            if page.total:
                st.caption(tr_n("{count} picture", "{count} pictures", page.total), width="content")
            show_chips(view, names)
            st.space("stretch")
            if st.button(
                tr("ZIP"),
                icon=":material/folder_zip:",
                key="gallery_zip",
                help=tr("Download all of these in one file"),
            ):
                offer_zip_of_view(studio(), user, view.query)
            show_order()
        show_pictures(view, page) if page.items else nothing_here(view)
    paging(view, page)
    if page.items and view.show != "Trash":
        with st.container(key="gallery_keys"):
            st.caption(
                tr(
                    "Keys: arrows move, Enter opens, Space selects, Shift selects a range, Ctrl+A selects "
                    "all, `.` stars, 0 to 5 rate, `D` downloads, Delete deletes."
                ),
                text_alignment="center",
            )
    open_linked(studio(), user, [image.id for image in page.items])


open_chosen_album()
restore_widgets()
show_head()
tell_album_error()
facets = read_facets(studio(), user) if st.session_state[SHOW] != "Trash" else Facets()
known_tags(name for name, _ in facets.tags)
view = current_view()
albums = read_albums(studio(), user, facets, view)
names = {album.id: album.name for album in albums}
if view.query.album and view.query.album not in names and view.show != "Trash":
    show_error(NotFound("There is no such album."))
if view.show == "Albums" and view.query.album in names:
    show_album_head(studio(), user, find_album(albums, view.query.album))
if view.shelves:
    show_albums(albums, facets)
else:
    if view.show != "Trash":
        show_filters(facets, names if view.show != "Albums" else {})
    try:
        show_list(view, names, facets)
    except InvalidRequest as error:
        show_error(error)
