"""Everything one has drawn, newest first: look, star, download, delete."""

from __future__ import annotations

import streamlit as st

from app.components.picture_grid import picture_grid
from app.components.viewer import act_on, open_viewer
from app.navigation import GENERATE
from app.session import require, studio
from services.build import Studio
from services.errors import InvalidRequest, NotFound
from services.records import Image, Page, User

user = require()

PAGE_SIZE = 60


def read_page(studio: Studio, user: User, *, favourites: bool) -> Page[Image]:
    """The page the address asks for; a cursor that no list returned leads to the first page."""
    after = st.query_params.get("after")
    try:
        return studio.images.list(user, limit=PAGE_SIZE, after=after, favourites=favourites)
    except InvalidRequest:
        del st.query_params["after"]
        return studio.images.list(user, limit=PAGE_SIZE, favourites=favourites)


def forget_cursor() -> None:
    """Another filter begins at its own first page."""
    st.query_params.pop("after", None)


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


def nothing_here(*, favourites: bool) -> None:
    """What to do when there is nothing to see, by what is looked for."""
    with st.container(border=True, key="gallery_empty", horizontal_alignment="center", gap="small"):
        if favourites:
            st.markdown("### :material/star:", text_alignment="center")
            st.markdown("**No favourites yet.**", text_alignment="center")
            st.caption(
                "Point at a picture and press the star, or press `.` with the picture in focus.",
                text_alignment="center",
            )
        else:
            st.markdown("### :material/photo_library:", text_alignment="center")
            st.markdown("**Your gallery is empty.**", text_alignment="center")
            st.caption(
                "Every picture you draw is kept here, with the settings that made it.",
                text_alignment="center",
            )
            if st.button("Draw the first one", type="primary", icon=":material/auto_awesome:"):
                st.switch_page(GENERATE)


with st.container(horizontal=True, vertical_alignment="center", key="page_head"):
    st.title("Gallery", anchor=False, width="content")
    st.space("stretch")
    chosen = st.segmented_control(
        "Show",
        ["All", "Favourites"],
        default="All",
        required=True,
        key="gallery_show",
        label_visibility="collapsed",
        on_change=forget_cursor,
    )
favourites = chosen == "Favourites"
page = read_page(studio(), user, favourites=favourites)
if not page.items:
    nothing_here(favourites=favourites)
else:
    action = picture_grid(studio(), page.items, key="gallery_grid", label="Gallery")
    if action is not None:
        act_on(studio(), user, action, page.items)
    paging(page)
    with st.container(key="gallery_keys"):
        st.caption(
            "Arrow keys move, Enter opens, `.` stars, `D` downloads, Delete deletes.", text_alignment="center"
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
