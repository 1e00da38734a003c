"""A list of names and values, each with a copy button."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st

from app.ui.common.component_assets import script, words

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Text:
    """A text to copy; `name` is announced after copying, `label` is on the button."""

    name: str
    label: str
    text: str


def copy_list(rows: Mapping[str, str], texts: Sequence[Text], *, key: str) -> None:
    """Draws buttons for the texts, which are not shown, and the rows; all of it is plain text in the browser."""
    data = {
        "rows": [{"name": name, "value": value} for name, value in rows.items()],
        "texts": [{"name": each.name, "label": each.label, "text": each.text} for each in texts],
        "words": words(HERE, "copy_list.js"),
    }
    _component()(key=key, data=data)


@cache
def _component() -> Callable[..., Any]:
    return st.components.v2.component(
        "atelier_copy_list",
        css=(HERE / "copy_list.css").read_text(encoding="utf-8"),
        js=script(HERE, "words.js", "viewer_icons.js", "elements.js", "copy_list.js"),
    )
