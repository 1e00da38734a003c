"""The zoomable picture of the viewer: zoom, pan, and move between pictures by keyboard, touch, or mouse."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import streamlit as st

from app.i18n.texts import tr
from app.state.signed_links import link, link_ahead
from app.ui.common.component_assets import script, words
from app.ui.common.plain_text import one_line
from services.build import Studio
from services.records import Image

HERE = Path(__file__).parent
KEY = "viewer_zoom"


@dataclass(frozen=True)
class ZoomAction:
    """What a key or button on the picture requested: the neighbor `by` -1 or 1, or the star."""

    kind: Literal["step", "star"]
    by: int = 0


def zoom(
    studio: Studio,
    image: Image,
    image_ids: Sequence[str],
    ahead: Sequence[str],
    on_act: Callable[[], None],
) -> None:
    """Draws the picture of `image_ids` that is viewed; `on_act` is called on an action, see `asked`.

    The pictures in `ahead` are preloaded. No AWS call; the browser gets presigned links.
    """
    here = image_ids.index(image.id) if image.id in image_ids else 0
    many = len(image_ids) > 1
    data = {
        "id": image.id,
        "src": link(studio, image, "shown"),
        "alt": one_line(image.prompt, 200),
        "width": image.width,
        "height": image.height,
        "before": many and here > 0,
        "after": many and here < len(image_ids) - 1,
        "place": tr("{place} of {count}", place=here + 1, count=len(image_ids)) if many else "",
        "preload": [link_ahead(studio, image, image_id) for image_id in ahead],
        "words": words(HERE, "zoom.js"),
    }
    _component()(key=KEY, data=data, on_act_change=on_act)


def asked() -> ZoomAction | None:
    """Returns what the browser just requested, for the callback; None if the message is invalid."""
    return action(getattr(st.session_state.get(KEY), "act", None))


def action(raw: Any) -> ZoomAction | None:
    """Validates the browser's message."""
    match raw:
        case {"kind": "step", "by": (-1 | 1) as by} if type(by) is int:
            return ZoomAction("step", by)
        case {"kind": "star"}:
            return ZoomAction("star")
    return None


@cache
def _component() -> Callable[..., Any]:
    return st.components.v2.component(
        "atelier_zoom",
        css=(HERE / "zoom.css").read_text(encoding="utf-8"),
        js=script(HERE, "words.js", "viewer_icons.js", "elements.js", "zoom.js"),
    )
