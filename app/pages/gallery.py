"""Everything one has drawn, newest first: look, choose, mark, download, delete and have it back."""

from __future__ import annotations

import streamlit as st

from app.components.picture_grid import picture_grid
from app.components.picture_marks import known_tags
from app.components.prompt_text import plain
from app.components.trash_view import KEPT_WORDS, act_on_trashed, confirm_emptying
from app.components.undo import undo_waits
from app.components.viewer import act_on, open_viewer
from app.gallery_view import (
    RATING,
    RATINGS,
    SHOW,
    SHOWS,
    TAG,
    GalleryView,
    current_view,
    forget_cursor,
    restore_widgets,
)
from app.navigation import GENERATE
from app.session import require, studio
from app.wording import at_least_stars
from services.build import Studio
from services.errors import InvalidRequest, NotFound
from services.records import Image, Page, User

user = require()

PAGE_SIZE = 60


def read_page(studio: Studio, user: User, view: GalleryView) -> Page[Image]:
    """The page the address asks for; a cursor that no list returned leads to the first page."""
    after = st.query_params.get("after")
    try:
        return list_pictures(studio, user, view, after)
    except InvalidRequest:
        forget_cursor()
        return list_pictures(studio, user, view, None)


def list_pictures(studio: Studio, user: User, view: GalleryView, after: str | None) -> Page[Image]:
    """One page of the view."""
    if view.show == "Trash":
        return studio.trash.list(user, limit=PAGE_SIZE, after=after)
    return studio.images.list(
        user,
        limit=PAGE_SIZE,
        after=after,
        favourites=view.show == "Favourites",
        rating=view.rating,
        tag=view.tag,
    )


def show_head() -> GalleryView:
    """Title and filters; answers with what they say."""
    restore_widgets()
    with st.container(horizontal=True, vertical_alignment="center", key="page_head"):
        st.title("Gallery", anchor=False, width="content")
        st.space("stretch")
        if st.session_state[SHOW] != "Trash":
            known = known_tags([st.session_state[TAG]] if st.session_state[TAG] else [])
            st.selectbox(
                "Tag",
                known,
                key=TAG,
                accept_new_options=True,
                format_func=plain,
                placeholder="Any tag",
                label_visibility="collapsed",
                on_change=forget_cursor,
                width=170,
            )
            st.selectbox(
                "Rating",
                RATINGS,
                key=RATING,
                format_func=at_least_stars,
                label_visibility="collapsed",
                on_change=forget_cursor,
                width=140,
            )
        st.segmented_control(
            "Show", SHOWS, required=True, key=SHOW, label_visibility="collapsed", on_change=forget_cursor
        )
    return current_view()


def paging(page: Page[Image]) -> None:
    """The way to older pictures, by a cursor in the address, and back to the newest."""
    after = st.query_params.get("after")
    if not after and not page.next:
        return
    with st.container(horizontal=True, horizontal_alignment="center", key="paging"):
        if st.button("Newest", icon=":material/first_page:", disabled=not after, key="newest"):
            forget_cursor()
            st.rerun()
        if (
            st.button("Older", icon=":material/chevron_right:", disabled=not page.next, key="older")
            and page.next
        ):
            st.query_params["after"] = page.next
            st.rerun()


def nothing_here(view: GalleryView) -> None:
    """What to do when there is nothing to see, by what is looked for."""
    icon, words, help = (
        "photo_library",
        "Your gallery is empty.",
        "Every picture you draw is kept here, with the settings that made it.",
    )
    if view.show == "Trash":
        icon, words, help = "delete", "The trash is empty.", KEPT_WORDS
    elif view.filtered:
        icon, words, help = (
            "filter_alt",
            "No such pictures.",
            "None has this tag and rating. Another filter shows more.",
        )
    elif view.show == "Favourites":
        icon, words = "star", "No favourites yet."
        help = "Point at a picture and press the star, or press `.` with the picture in focus."
    with st.container(border=True, key="gallery_empty", horizontal_alignment="center", gap="small"):
        st.markdown(f"### :material/{icon}:", text_alignment="center")
        st.markdown(f"**{words}**", text_alignment="center")
        st.caption(help, text_alignment="center")
        if view == GalleryView() and st.button(
            "Draw the first one", type="primary", icon=":material/auto_awesome:"
        ):
            st.switch_page(GENERATE)


def show_trash(page: Page[Image]) -> None:
    """The pictures of the trash, and the way to empty it."""
    with st.container(horizontal=True, vertical_alignment="center", key="trash_head"):
        st.caption(KEPT_WORDS, width="stretch")
        if st.button("Empty the trash", icon=":material/delete_forever:", type="tertiary", key="trash_empty"):
            confirm_emptying(studio(), user)
    action = picture_grid(
        studio(), page.items, key="trash_grid", label="Trash", select=True, trash=True, lifted=undo_waits()
    )
    if action is not None:
        act_on_trashed(studio(), user, action)


def show_pictures(page: Page[Image]) -> None:
    """The pictures of the gallery, and what the keys do."""
    known_tags(tag for image in page.items for tag in image.tags)
    action = picture_grid(
        studio(), page.items, key="gallery_grid", label="Gallery", select=True, lifted=undo_waits()
    )
    if action is not None:
        act_on(studio(), user, action, page.items)


view = show_head()
page = read_page(studio(), user, view)
if not page.items:
    nothing_here(view)
elif view.show == "Trash":
    show_trash(page)
else:
    show_pictures(page)
paging(page)
if page.items and view.show != "Trash":
    with st.container(key="gallery_keys"):
        st.caption(
            "Arrow keys move, Enter opens, Space selects, Shift selects a range, Ctrl+A all. "
            "`.` stars, 0 to 5 rate, `D` downloads, Delete deletes.",
            text_alignment="center",
        )
linked = st.query_params.get("image")
if linked and "viewed" not in st.session_state:
    # A link to one picture: it is shown over the gallery, when it is this user's.
    try:
        st.session_state["viewed"] = studio().images.get(user, linked).id
        open_viewer(studio(), user, [image.id for image in page.items] or [linked])
    except NotFound:
        st.query_params.pop("image", None)
        st.warning("There is no such picture.", icon=":material/info:")
