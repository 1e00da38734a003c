"""Compares two pictures and lists the settings that differ."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st

from app.i18n.texts import tr, tr_n
from app.state.signed_links import link
from app.ui.common.component_assets import script, words
from app.ui.common.plain_text import one_line, plain
from services.build import Studio
from services.records import Image

HERE = Path(__file__).parent


def compare(
    studio: Studio,
    pair: tuple[Image, Image],
    facts: tuple[Mapping[str, str], Mapping[str, str]],
) -> None:
    """Draws both under a slider, and `facts` as a table of what differs. No AWS call."""
    rows, same = differing(*facts)
    sides = [
        {
            "src": link(studio, image, "shown"),
            "alt": tr("{side}: {prompt}", side=label, prompt=one_line(image.prompt, 160)),
            "label": label,
            "width": image.width,
            "height": image.height,
        }
        for image, label in zip(pair, (tr("Left"), tr("Right")), strict=True)
    ]
    data = {
        "a": sides[0],
        "b": sides[1],
        "rows": [{"name": name, "a": plain(a), "b": plain(b)} for name, (a, b) in rows.items()],
        "same": [{"name": name, "value": plain(value)} for name, value in same.items()],
        "same_words": tr_n("{count} setting is the same", "{count} settings are the same", len(same)),
        "words": words(HERE, "compare.js"),
    }
    _component()(key="compare", data=data)


def differing(
    first: Mapping[str, str], second: Mapping[str, str]
) -> tuple[dict[str, tuple[str, str]], dict[str, str]]:
    """Returns the facts that differ, with both values (a dash for a missing one), and those that are equal."""
    names = list(dict.fromkeys([*first, *second]))
    both = {name: (first.get(name, "–"), second.get(name, "–")) for name in names}
    return (
        {name: (a, b) for name, (a, b) in both.items() if a != b},
        {name: a for name, (a, b) in both.items() if a == b},
    )


@cache
def _component() -> Callable[..., Any]:
    return st.components.v2.component(
        "atelier_compare",
        css=(HERE / "compare.css").read_text(encoding="utf-8"),
        js=script(HERE, "words.js", "viewer_icons.js", "elements.js", "compare.js"),
    )
