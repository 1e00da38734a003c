"""Open jobs in the title of the tab, and a notification of the browser's own when they are done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st

HERE = Path(__file__).parent
WORDS = {
    "open": "({count}) drawing… – {title}",
    "done": "Done – {title}",
    "ask": "Notify me when it is done",
    "notice": "Atelier",
    "succeeded": "Your pictures are done.",
    "failed": "It ended without all of the pictures. Atelier says why.",
}


def tab_notice(open_ids: Sequence[str], *, failed: Sequence[str] = (), canceled: Sequence[str] = ()) -> None:
    """Draws the button that asks for permission, while there is something to be told; the rest is not in the page.

    `open_ids` are the jobs that are being drawn or in line, `failed` and `canceled` those known to have ended so. Says
    nothing of what is drawn, and nothing leaves the browser.
    """
    data = {"open": list(open_ids), "failed": list(failed), "canceled": list(canceled), "words": WORDS}
    _component()(key="tab_notice", data=data)


@cache
def _component() -> Callable[..., Any]:
    return st.components.v2.component(
        "atelier_tab_notice",
        css=(HERE / "tab_notice.css").read_text(encoding="utf-8"),
        js=(HERE / "tab_notice.js").read_text(encoding="utf-8"),
    )
