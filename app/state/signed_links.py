"""The session's presigned links, cached for a while so that reruns do not reload pictures."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Literal

import streamlit as st

from services.build import Studio
from services.records import Image
from services.store import keys

Kind = Literal["shown", "thumbnail", "download"]
# Links expire after an hour; a page open for this long gets new ones with its next run.
RENEW_AFTER_S = 20 * 60.0
MOST_KEPT = 1500


def link(studio: Studio, image: Image, kind: Kind) -> str:
    """Returns the URL of a picture: as `shown`, as `thumbnail`, or as `download`.

    Signed on first use in this session (0.3 ms) and again after 20 minutes; no AWS call.
    """
    return _link(studio, image, kind, _kept())


def links(studio: Studio, images: Iterable[Image], kind: Kind) -> list[str]:
    """`link` for many pictures."""
    kept = _kept()
    return [_link(studio, image, kind, kept) for image in images]


def _kept() -> dict[tuple[Kind, str], tuple[str, float]]:
    kept: dict[tuple[Kind, str], tuple[str, float]] = st.session_state.setdefault("links", {})
    return kept


def _link(studio: Studio, image: Image, kind: Kind, kept: dict[tuple[Kind, str], tuple[str, float]]) -> str:
    now = time.monotonic()
    known = kept.get((kind, image.id))
    if known is not None and now - known[1] < RENEW_AFTER_S:
        return known[0]
    if len(kept) >= MOST_KEPT:
        kept.clear()
    sign: dict[Kind, Callable[[Image], str]] = {
        "shown": studio.images.url,
        "thumbnail": studio.images.thumbnail_url,
        "download": lambda image: studio.images.url(image, download=True),
    }
    kept[kind, image.id] = (sign[kind](image), now)
    return kept[kind, image.id][0]


def link_ahead(studio: Studio, near: Image, image_id: str) -> str:
    """Returns the `shown` link of another picture of the same user without its record; the same as `link` returns.

    Raises ValueError for a malformed id.
    """
    parts = keys.split_image_id(image_id)
    if parts is None:
        raise ValueError("not the id of a picture")
    key = keys.image_key(near.user_id, *parts)
    return link(studio, near.model_copy(update={"id": image_id, "key": key}), "shown")
