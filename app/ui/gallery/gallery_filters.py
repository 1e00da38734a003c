"""The gallery's search box, filter popover, and chips of active filters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st

from app.i18n.texts import mark, tr
from app.i18n.wording import at_least_stars, day
from app.state.gallery_address import (
    ALBUM,
    MODEL,
    NOTHING,
    RATING,
    RATINGS,
    SINCE,
    SORT,
    TAG,
    TEXT,
    UNTIL,
    GalleryView,
    clear,
    forget_cursor,
)
from app.ui.common.plain_text import as_label, plain
from services.search.query import LONGEST_SEARCH, SORTS, Facets, Sort

SORT_WORDS: Mapping[Sort, str] = {
    "newest": mark("Newest first"),
    "oldest": mark("Oldest first"),
    "rating": mark("Best rated first"),
}
SEARCH_HELP = mark(
    "Finds pictures whose prompt, tags, or model name contain all words; the beginning of a word is "
    'enough. "Quotes" search for an exact phrase, and a minus excludes a word: apple -green.'
)


def show_filters(facets: Facets, album_names: Mapping[str, str]) -> None:
    """Draws the search box and the filters; the widgets' state holds the values."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small", key="gallery_filters"):
        st.text_input(
            tr("Search"),
            key=TEXT,
            max_chars=LONGEST_SEARCH,
            placeholder=tr("Search prompts, tags, and models"),
            icon=":material/search:",
            label_visibility="collapsed",
            help=tr(SEARCH_HELP),
            on_change=forget_cursor,
        )
        with st.popover(tr("Filters"), icon=":material/tune:", key="gallery_filter_menu"):
            _choice(tr("Tag"), TAG, [name for name, _ in facets.tags], tr("Any tag"))
            _choice(tr("Model"), MODEL, [name for name, _ in facets.models], tr("Any model"))
            if album_names:
                _choice(tr("Album"), ALBUM, list(album_names), tr("Any album"), album_names)
            st.selectbox(
                tr("Rating"), RATINGS, key=RATING, format_func=at_least_stars, on_change=forget_cursor
            )
            since, until = st.columns(2)
            since.date_input(tr("From (UTC)"), key=SINCE, format="YYYY-MM-DD", on_change=forget_cursor)
            until.date_input(tr("To (UTC)"), key=UNTIL, format="YYYY-MM-DD", on_change=forget_cursor)


def _choice(
    label: str, key: str, known: Sequence[str], nothing: str, names: Mapping[str, str] | None = None
) -> None:
    """Draws a filter by one of the existing names; the URL's value is offered even if no picture has it."""
    words = names or {}
    chosen = {st.session_state[key]} - {None}
    options = sorted({*known} | chosen, key=lambda name: words.get(name, name).casefold())
    st.selectbox(
        label,
        options,
        key=key,
        format_func=lambda name: plain(words.get(name, name)),
        placeholder=nothing,
        on_change=forget_cursor,
    )


def show_order() -> None:
    """Draws the choice of order."""
    st.selectbox(
        tr("Order"),
        SORTS,
        key=SORT,
        format_func=lambda sort: tr(SORT_WORDS[sort]),
        label_visibility="collapsed",
        on_change=forget_cursor,
        width=165,
    )


def show_chips(view: GalleryView, album_names: Mapping[str, str]) -> None:
    """Draws the active filters as chips, each removable, and a button that clears all."""
    query = view.query
    said: list[tuple[str, str]] = []
    if query.text:
        said.append((TEXT, tr("“{text}”", text=as_label(query.text, 40))))
    if query.tag:
        said.append((TAG, tr("Tag: {name}", name=as_label(query.tag, 40))))
    if query.model:
        said.append((MODEL, tr("Model: {name}", name=as_label(query.model, 40))))
    if query.album and view.show != "Albums":
        name = as_label(album_names.get(query.album) or tr("unknown"), 40)
        said.append((ALBUM, tr("Album: {name}", name=name)))
    if query.rating:
        said.append((RATING, at_least_stars(query.rating)))
    if query.since:
        said.append((SINCE, tr("From {day}", day=day(query.since))))
    if query.until:
        said.append((UNTIL, tr("To {day}", day=day(query.until))))
    for key, label in said:
        st.button(
            label,
            icon=":material/close:",
            key=f"chip_{key}",
            help=tr("Remove this filter"),
            on_click=clear,
            args=(key,),
            width="content",
        )
    if len(said) > 1:
        every = [key for key in NOTHING if key not in (SORT, *((ALBUM,) if view.show == "Albums" else ()))]
        st.button(
            tr("Clear all"),
            type="tertiary",
            key="chip_all",
            on_click=clear,
            args=tuple(every),
            width="content",
        )
