"""The grid of pictures: lazy, by keyboard or touch, each with star, download and delete."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import streamlit as st

from app.components.prompt_text import one_line
from app.links import link
from services.build import Studio
from services.records import Image

HERE = Path(__file__).parent


@dataclass(frozen=True)
class GridAction:
    """What was asked of one picture. `favourite` is the wanted state of a star."""

    kind: Literal["open", "star", "delete"]
    image_id: str
    favourite: bool = False


def picture_grid(
    studio: Studio,
    images: Sequence[Image],
    *,
    key: str,
    look: Literal["tiles", "large"] = "tiles",
    label: str = "Pictures",
) -> GridAction | None:
    """Draws the pictures and answers with what was just asked of one of them, else None.

    `tiles` shows thumbnails, `large` the pictures themselves. No AWS call: links are signed here.
    """
    items = [
        {
            "id": image.id,
            "src": link(studio, image, "shown" if look == "large" else "thumbnail"),
            "download": link(studio, image, "download"),
            "text": one_line(image.prompt, 200),
            "favourite": image.favourite,
            "width": image.width,
            "height": image.height,
        }
        for image in images
    ]
    data = {"items": items, "look": look, "label": label}
    result = _component()(key=key, data=data, on_act_change=_nothing)
    return _action(result.act, {image.id for image in images})


def _action(raw: Any, shown: set[str]) -> GridAction | None:
    """Checks what the browser sent: only known actions on pictures that are in the grid count."""
    match raw:
        case {"kind": "open" | "star" | "delete" as kind, "id": str(image_id)} if image_id in shown:
            return GridAction(kind, image_id, favourite=raw.get("favourite") is True)
    return None


def _nothing() -> None:
    """Streamlit wants a callback before it lists a trigger in the result."""


@cache
def _component() -> Callable[..., Any]:
    return st.components.v2.component(
        "atelier_picture_grid",
        css=(HERE / "picture_grid.css").read_text(encoding="utf-8"),
        js=(HERE / "picture_grid.js").read_text(encoding="utf-8"),
    )
