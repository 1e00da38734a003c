"""A grid of drafts of which several can be picked by a click or a key."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st

from app.links import link
from services.build import Studio
from services.records import Image

HERE = Path(__file__).parent


def draft_picker(
    studio: Studio,
    images: Sequence[Image],
    *,
    picked: Collection[str],
    finished: Collection[str],
    key: str,
) -> tuple[tuple[str, ...], str | None]:
    """Draws the drafts; answers with the ids that are picked now, and the one that was asked to be seen large.

    `finished` are marked as drawn in full already. No AWS call: links are signed here.
    """
    items = [
        {
            "id": image.id,
            "src": link(studio, image, "thumbnail"),
            "seed": image.seed,
            "finished": image.id in finished,
            "width": image.width,
            "height": image.height,
        }
        for image in images
    ]
    result = _component()(
        key=key,
        data={"items": items, "picked": [image.id for image in images if image.id in picked]},
        on_picked_change=_nothing,
        on_look_change=_nothing,
    )
    shown = [image.id for image in images]
    raw, look = result.picked, result.look
    now = raw if isinstance(raw, list) else list(picked)
    return tuple(one for one in shown if one in now), look if look in shown else None


def _nothing() -> None:
    """Streamlit wants a callback before it lists a value in the result."""


@cache
def _component() -> Callable[..., Any]:
    return st.components.v2.component(
        "atelier_draft_picker",
        css=(HERE / "draft_picker.css").read_text(encoding="utf-8"),
        js=(HERE / "draft_picker.js").read_text(encoding="utf-8"),
    )
