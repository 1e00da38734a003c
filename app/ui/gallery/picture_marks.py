"""Rating and tags: for one picture in the viewer, for several in a dialog."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import streamlit as st

from app.i18n.texts import tr, tr_n
from app.state import feed
from app.ui.common.error_banner import show_error
from app.ui.common.error_boundary import error_boundary
from app.ui.common.plain_text import plain
from app.ui.common.undo import tell_left_out
from services.build import Studio
from services.errors import StudioError
from services.images.marks import HIGHEST_RATING, LONGEST_TAG, MOST_TAGS
from services.records import Image, User


def known_tags(more: Iterable[str] = ()) -> list[str]:
    """Returns the tags this session has seen and `more`, sorted, as suggestions."""
    seen: set[str] = st.session_state.setdefault("known_tags", set())
    seen.update(more)
    return sorted(seen)


def show_marks(studio: Studio, user: User, image: Image) -> None:
    """Draws the editable rating and tags of one picture; the keys 0 to 5 rate it."""
    # Each rating has its own widget key, so a stale value that the browser still sends after a key press is ignored.
    rating = f"viewer_rating_{image.id}_{image.rating}"
    st.feedback(
        options="stars",
        key=rating,
        default=image.rating - 1 if image.rating else None,
        on_change=_rate_as_shown,
        args=(studio, user, image.id, rating),
    )
    with st.container(key="viewer_rate_keys"):
        for value in range(HIGHEST_RATING + 1):
            st.button(
                tr("Rate {stars}", stars=value),
                shortcut=str(value),
                key=f"viewer_rate_{value}",
                on_click=_rate,
                args=(studio, user, image.id, value),
            )
    # The widget shows the stored, normalized tags. The browser gets a value only when it differs from what it shows,
    # because a new value discards a half-typed tag.
    tags = f"viewer_tags_{image.id}"
    if tags not in st.session_state or set(st.session_state[tags]) != set(image.tags):
        st.session_state[tags] = list(image.tags)
    st.multiselect(
        tr("Tags"),
        known_tags(image.tags),
        key=tags,
        accept_new_options=True,
        max_selections=MOST_TAGS,
        placeholder=tr("Add a tag"),
        format_func=plain,
        on_change=_tag_as_shown,
        args=(studio, user, image, tags),
    )


def _rate_as_shown(studio: Studio, user: User, image_id: str, key: str) -> None:
    stars = st.session_state[key]
    _rate(studio, user, image_id, 0 if stars is None else stars + 1)


def _rate(studio: Studio, user: User, image_id: str, rating: int) -> None:
    try:
        rate(studio, user, [image_id], rating)
    except StudioError as error:
        st.session_state["viewer_error"] = error


def rate(studio: Studio, user: User, ids: Sequence[str], rating: int) -> None:
    """Rates pictures and reports those that failed."""
    tell_left_out(studio.marks.rate_many(user, ids, rating))
    feed.invalidate()


def _tag_as_shown(studio: Studio, user: User, image: Image, key: str) -> None:
    shown, had = set(st.session_state[key]), set(image.tags)
    try:
        tell_left_out(studio.marks.tag_many(user, [image.id], add=shown - had, remove=had - shown))
        feed.invalidate()
    except StudioError as error:
        st.session_state["viewer_error"] = error


def label_pictures(studio: Studio, user: User, images: Sequence[Image]) -> None:
    """Opens the dialog for several pictures."""
    st.dialog(tr("Rate and tag"), on_dismiss="rerun")(_labels)(studio, user, images)


def _labels(studio: Studio, user: User, images: Sequence[Image]) -> None:
    with error_boundary():
        ask_for_marks(studio, user, tuple(images))


def ask_for_marks(studio: Studio, user: User, images: tuple[Image, ...]) -> None:
    """Draws the dialog: a rating for all pictures, tags to add, and tags to remove."""
    ids = [image.id for image in images]
    st.markdown(f"**{tr_n('{count} picture', '{count} pictures', len(ids))}**")
    stars = st.feedback(options="stars", key="label_rating")
    add = st.multiselect(
        tr("Add tags"),
        known_tags(),
        key="label_add",
        accept_new_options=True,
        max_selections=MOST_TAGS,
        placeholder=tr("Up to {count} characters each", count=LONGEST_TAG),
        format_func=plain,
    )
    theirs = sorted({tag for image in images for tag in image.tags})
    remove: list[str] = []
    if theirs:
        remove = st.multiselect(
            tr("Remove tags"), theirs, key="label_remove", placeholder=tr("Choose"), format_func=plain
        )
    with st.container(horizontal=True):
        save = st.button(tr("Save"), type="primary", key="label_save")
        unrate = st.button(tr("Remove the rating"), type="tertiary", key="label_unrate")
    if not (save or unrate):
        return
    try:
        if unrate or stars is not None:
            rate(studio, user, ids, 0 if unrate or stars is None else stars + 1)
        if save and (add or remove):
            tell_left_out(studio.marks.tag_many(user, ids, add=add, remove=remove))
            feed.invalidate()
    except StudioError as error:
        show_error(error)
        return
    st.rerun()
