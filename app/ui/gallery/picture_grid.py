"""The picture grid: loads lazily, works by keyboard and touch, and can select several pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import streamlit as st

from app.i18n.texts import tr
from app.i18n.wording import days_left
from app.state.signed_links import links
from app.ui.common.component_assets import script, words
from app.ui.common.plain_text import one_line
from services.build import Studio
from services.images.bulk_changes import MOST_PICTURES
from services.images.marks import HIGHEST_RATING
from services.images.trash import until
from services.records import Image

HERE = Path(__file__).parent
Kind = Literal["open", "compare", "star", "rate", "label", "album", "zip", "trash", "restore", "erase"]


@dataclass(frozen=True)
class GridAction:
    """An action on pictures in the grid. `favorite` and `rating` are the wanted states."""

    kind: Kind
    ids: tuple[str, ...]
    favorite: bool = False
    rating: int = 0


def picture_grid(
    studio: Studio,
    images: Sequence[Image],
    *,
    key: str,
    look: Literal["tiles", "large"] = "tiles",
    label: str | None = None,
    select: bool = False,
    trash: bool = False,
    lifted: bool = False,
    plain: bool = False,
) -> GridAction | None:
    """Draws the pictures and returns the action that was just requested, else None.

    `tiles` shows thumbnails, `large` the pictures themselves. With `select`, several can be chosen, and a bar over the
    page offers actions on them (`lifted` if there is another bar below). `trash` shows the days left and offers
    the trash's actions; `plain` shows pictures to choose one from. No AWS call: links are signed here.
    """
    shown = links(studio, images, "shown" if look == "large" else "thumbnail")
    items = [
        {
            "id": image.id,
            "src": address,
            "download": download,
            "text": one_line(image.prompt, 200),
            "favorite": image.favorite,
            "rating": image.rating,
            "left": days_left(until(image)) if trash else None,
            "width": image.width,
            "height": image.height,
            "color": image.color,
        }
        for image, address, download in zip(images, shown, links(studio, images, "download"), strict=True)
    ]
    data = {
        "items": items,
        "look": look,
        "label": tr("Pictures") if label is None else label,
        "select": select,
        "trash": trash,
        "lifted": lifted,
        "plain": plain,
        "words": words(HERE, "picture_grid.js"),
    }
    result = _component()(key=key, data=data, on_act_change=_nothing)
    return _action(result.act, {image.id for image in images})


def _action(raw: Any, shown: set[str]) -> GridAction | None:
    """Validates the browser's message: only known actions on pictures in the grid are accepted."""
    match raw:
        case {
            "kind": "open"
            | "compare"
            | "star"
            | "rate"
            | "label"
            | "album"
            | "zip"
            | "trash"
            | "restore"
            | "erase" as kind,
            "ids": [str(), *_] as ids,
        } if len(ids) <= MOST_PICTURES and all(isinstance(one, str) and one in shown for one in ids):
            if kind == "compare" and len(ids) != 2:
                return None
            rating = raw.get("rating", 0)
            if type(rating) is not int or not 0 <= rating <= HIGHEST_RATING:
                return None
            return GridAction(kind, tuple(ids), favorite=raw.get("favorite") is True, rating=rating)
    return None


def _nothing() -> None:
    """Does nothing: Streamlit includes a trigger in the result only if it has a callback."""


@cache
def _component() -> Callable[..., Any]:
    return st.components.v2.component(
        "atelier_picture_grid",
        css=(HERE / "picture_grid.css").read_text(encoding="utf-8"),
        js=script(HERE, "words.js", "elements.js", "picture_grid.js"),
    )
