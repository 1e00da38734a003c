"""The gallery's view in the URL, so that a reload or a copied link shows the same."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal, cast, get_args

import streamlit as st

from services.errors import InvalidRequest
from services.images.albums import is_album_id
from services.images.marks import HIGHEST_RATING, clean_tag
from services.search.query import LONGEST_SEARCH, SORTS, PictureQuery, Sort

Show = Literal["All", "Favorites", "Albums", "Trash"]
SHOWS: tuple[Show, ...] = get_args(Show)
RATINGS = tuple(range(HIGHEST_RATING + 1))
LONGEST_MODEL = 100
# Widget keys by query parameter.
SHOW, TEXT, TAG, RATING = "gallery_show", "gallery_text", "gallery_tag", "gallery_rating"
MODEL, SINCE, UNTIL, SORT, ALBUM = (
    "gallery_model",
    "gallery_since",
    "gallery_until",
    "gallery_sort",
    "gallery_album",
)
NAMES = {
    TEXT: "q",
    TAG: "tag",
    RATING: "rating",
    MODEL: "model",
    SINCE: "from",
    UNTIL: "to",
    ALBUM: "album",
    SORT: "sort",
}
NOTHING: dict[str, Any] = {
    TEXT: "",
    TAG: None,
    RATING: 0,
    MODEL: None,
    SINCE: None,
    UNTIL: None,
    ALBUM: None,
    SORT: "newest",
}


@dataclass(frozen=True)
class GalleryView:
    """The shown list of the user's pictures and its filters."""

    show: Show = "All"
    query: PictureQuery = field(default_factory=PictureQuery)

    @property
    def plain(self) -> bool:
        """Whether all pictures are shown newest first, which needs only a table query."""
        return self.show == "All" and self.query == PictureQuery()

    @property
    def shelves(self) -> bool:
        """Whether the list of albums is shown, not the pictures of one."""
        return self.show == "Albums" and self.query.album is None

    @property
    def filtered(self) -> bool:
        """Whether filters exclude pictures of the shown list."""
        query = self.query
        return bool(query.text or query.tag or query.rating or query.model or query.since or query.until)


def restore_widgets() -> None:
    """Sets the widgets from the URL unless they already have values.

    Values that the gallery would not have written are ignored.
    """
    asked = st.query_params
    if SHOW not in st.session_state:
        # Links from before 0.2 spell it the other way.
        named = {show.lower(): show for show in SHOWS} | {"favourites": "Favorites"}
        st.session_state[SHOW] = named.get(asked.get("show", ""), "All")
    for key, name in NAMES.items():
        if key not in st.session_state:
            st.session_state[key] = _read(key, asked.get(name, ""))


def _read(key: str, said: str) -> Any:
    match key:
        case "gallery_text":
            return said[:LONGEST_SEARCH]
        case "gallery_tag":
            return _tag(said)
        case "gallery_rating":
            return int(said) if said in {str(rating) for rating in RATINGS} else 0
        case "gallery_model":
            return said if 0 < len(said) <= LONGEST_MODEL and said.isprintable() else None
        case "gallery_since" | "gallery_until":
            return _day(said)
        case "gallery_sort":
            return said if said in SORTS else "newest"
        case _:
            return said if is_album_id(said) else None


def current_view() -> GalleryView:
    """Returns the view from the widgets and writes it to the URL."""
    state = {key: st.session_state.get(key) or nothing for key, nothing in NOTHING.items()}
    show = cast(Show, st.session_state[SHOW] or "All")
    view = GalleryView(
        show=show,
        query=PictureQuery(
            text=state[TEXT].strip(),
            model=state[MODEL],
            tag=_tag(state[TAG] or ""),
            album=state[ALBUM],
            since=state[SINCE],
            until=state[UNTIL],
            favorites=show == "Favorites",
            rating=state[RATING],
            sort=cast(Sort, state[SORT]),
        ),
    )
    query = view.query
    _say("show", "" if show == "All" else show.lower())
    _say("q", query.text)
    _say("tag", query.tag or "")
    _say("rating", str(query.rating or ""))
    _say("model", query.model or "")
    _say("from", query.since.isoformat() if query.since else "")
    _say("to", query.until.isoformat() if query.until else "")
    _say("album", query.album or "")
    _say("sort", "" if query.sort == "newest" else query.sort)
    return view


def clear(*names: str) -> None:
    """Removes filters by their widget keys; for callbacks."""
    for name in names:
        st.session_state[name] = NOTHING[name]
    forget_cursor()


def open_album(album_id: str | None) -> None:
    """Shows an album, or all albums for None; for callbacks."""
    st.session_state[SHOW] = "Albums"
    clear(*(key for key in NOTHING if key != SORT))
    st.session_state[ALBUM] = album_id


def forget_cursor() -> None:
    """Resets the cursor: a changed filter starts at the first page."""
    st.query_params.pop("after", None)


def show_changed() -> None:
    """Resets the cursor and closes the open album: another list starts at its first page."""
    st.session_state[ALBUM] = None
    forget_cursor()


def _tag(text: str) -> str | None:
    try:
        return clean_tag(text) if text else None
    except InvalidRequest:
        return None


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        return None


def _say(name: str, value: str) -> None:
    if value and st.query_params.get(name) != value:
        st.query_params[name] = value
    elif not value and name in st.query_params:
        del st.query_params[name]
