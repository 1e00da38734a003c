"""What the gallery shows, as its address says it: a reload, or the link in another window, shows the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast, get_args

import streamlit as st

from services.errors import InvalidRequest
from services.image_marks import HIGHEST_RATING, clean_tag

Show = Literal["All", "Favourites", "Trash"]
SHOWS: tuple[Show, ...] = get_args(Show)
RATINGS = tuple(range(HIGHEST_RATING + 1))
# The keys of the widgets that change the view.
SHOW, TAG, RATING = "gallery_show", "gallery_tag", "gallery_rating"


@dataclass(frozen=True)
class GalleryView:
    """Which of the user's pictures are looked at. `rating` is the least, 0 for any; `tag` None for any."""

    show: Show = "All"
    tag: str | None = None
    rating: int = 0

    @property
    def filtered(self) -> bool:
        """True when pictures are left out by rating or tag."""
        return self.tag is not None or self.rating > 0


def restore_widgets() -> None:
    """Gives the widgets what the address says, where they do not know anything else yet.

    What no gallery would have written counts as not said.
    """
    asked = st.query_params
    if SHOW not in st.session_state:
        named = {show.lower(): show for show in SHOWS}
        st.session_state[SHOW] = named.get(asked.get("show", ""), "All")
    if TAG not in st.session_state:
        st.session_state[TAG] = _tag(asked.get("tag"))
    if RATING not in st.session_state:
        said = asked.get("rating", "")
        st.session_state[RATING] = int(said) if said in {str(rating) for rating in RATINGS} else 0


def current_view() -> GalleryView:
    """The view by the widgets, put into the address."""
    view = GalleryView(
        show=cast(Show, st.session_state[SHOW] or "All"),
        tag=_tag(st.session_state[TAG]),
        rating=st.session_state[RATING] or 0,
    )
    _say("show", "" if view.show == "All" else view.show.lower())
    _say("tag", view.tag or "")
    _say("rating", str(view.rating or ""))
    return view


def forget_cursor() -> None:
    """Another filter begins at its own first page."""
    st.query_params.pop("after", None)


def _tag(text: str | None) -> str | None:
    try:
        return clean_tag(text) if text else None
    except InvalidRequest:
        return None


def _say(name: str, value: str) -> None:
    if value and st.query_params.get(name) != value:
        st.query_params[name] = value
    elif not value and name in st.query_params:
        del st.query_params[name]
