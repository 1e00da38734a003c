"""The mask painter: shows the fitted source picture, and the browser paints a mask on it."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st

from app.i18n.texts import tr
from app.ui.common.component_assets import script, words
from services.jobs.sources import SourcePicture
from services.records import Fit

HERE = Path(__file__).parent
PNG_URL = "data:image/png;base64,"
# A mask of 1024 x 1024 pixels in two colors compresses to about 10 kB; larger messages do not come from our script.
MAX_MASK_CHARACTERS = 4_000_000


def mask_painter(
    picture: SourcePicture,
    *,
    wanted: tuple[int, int],
    fit: Fit,
    paint: bool,
    mask: bytes | None,
    token: str,
    key: str,
) -> bytes | None:
    """Draws the picture cropped or with bars to fit `wanted`; returns the PNG of the latest mask.

    None: nothing was painted since `token`; empty bytes: the mask was cleared. `mask` is what is there to begin
    with; a browser that has not seen `token` yet loads it. The result is the same in every run until the next
    stroke. No AWS call: the browser loads the picture by its link.
    """
    data = {
        "src": picture.url,
        "alt": tr("The picture to draw over"),
        "width": picture.width,
        "height": picture.height,
        "wanted": {"width": wanted[0], "height": wanted[1]},
        "fit": fit.value,
        "paint": paint,
        "token": token,
        "mask": PNG_URL + base64.b64encode(mask).decode() if mask else "",
        "words": words(HERE, "mask_painter.js"),
    }
    result = _component()(key=key, data=data, on_mask_change=_nothing)
    return _painted(result.mask, token)


def _painted(raw: Any, token: str) -> bytes | None:
    """Validates the browser's message: only a PNG painted on the current picture is accepted."""
    match raw:
        case {"token": str(sent), "png": str(url)} if sent == token and len(url) <= MAX_MASK_CHARACTERS:
            if not url:
                return b""
            try:
                return base64.b64decode(url.removeprefix(PNG_URL), validate=True)
            except (binascii.Error, ValueError):
                return None
    return None


def _nothing() -> None:
    """Does nothing: Streamlit includes a state in the result only if it has a callback."""


@cache
def _component() -> Callable[..., Any]:
    return st.components.v2.component(
        "atelier_mask_painter",
        css=(HERE / "mask_painter.css").read_text(encoding="utf-8"),
        js=script(HERE, "words.js", "elements.js", "mask_painter.js"),
    )
