"""The draft picker: drafts grouped by prompt, selectable by click or key."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st

from app.state.signed_links import link
from app.ui.common.component_assets import script, words
from app.ui.common.plain_text import one_line
from services.build import Studio
from services.records import Image

HERE = Path(__file__).parent
PROMPT_CHARACTERS = 160
REMARK_CHARACTERS = 400


@dataclass(frozen=True)
class Remark:
    """A remark below the drafts of a prompt; `failed` is why some are missing. May contain untrusted text."""

    text: str
    failed: bool = False


@dataclass(frozen=True)
class DraftsOfPrompt:
    """The drafts of one prompt. The prompt is the heading; empty if the page already shows it."""

    prompt: str
    images: tuple[Image, ...]
    remarks: tuple[Remark, ...] = ()


def draft_picker(
    studio: Studio,
    parts: Sequence[DraftsOfPrompt],
    *,
    picked: Collection[str],
    finished: Collection[str],
    narrow: bool = False,
    key: str,
) -> tuple[tuple[str, ...], str | None]:
    """Draws the drafts; returns the picked ids and the draft to view large.

    `finished` are marked as already drawn at full quality. `narrow` puts single drafts side by side. No AWS
    call: links are signed here.
    """
    images = [image for part in parts for image in part.images]
    data = {
        "words": words(HERE, "draft_picker.js"),
        "parts": [
            {
                "prompt": one_line(part.prompt, PROMPT_CHARACTERS),
                "items": [_item(studio, image, image.id in finished) for image in part.images],
                "remarks": [
                    {"text": one_line(remark.text, REMARK_CHARACTERS), "failed": remark.failed}
                    for remark in part.remarks
                ],
            }
            for part in parts
        ],
        "narrow": narrow,
        "picked": [image.id for image in images if image.id in picked],
    }
    result = _component()(key=key, data=data, on_picked_change=_nothing, on_look_change=_nothing)
    shown = [image.id for image in images]
    raw, look = result.picked, result.look
    now = raw if isinstance(raw, list) else list(picked)
    return tuple(one for one in shown if one in now), look if look in shown else None


def _item(studio: Studio, image: Image, finished: bool) -> dict[str, Any]:
    return {
        "id": image.id,
        "src": link(studio, image, "thumbnail"),
        "seed": image.seed,
        "finished": finished,
        "width": image.width,
        "height": image.height,
    }


def _nothing() -> None:
    """Does nothing: Streamlit includes a value in the result only if it has a callback."""


@cache
def _component() -> Callable[..., Any]:
    return st.components.v2.component(
        "atelier_draft_picker",
        css=(HERE / "draft_picker.css").read_text(encoding="utf-8"),
        js=script(HERE, "words.js", "elements.js", "draft_picker.js"),
    )
