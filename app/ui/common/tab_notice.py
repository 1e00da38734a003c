"""Shows open jobs in the tab's title and sends a browser notification when they finish."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st

from app.ui.common.component_assets import script, words
from services.build import Studio
from services.errors import StudioError
from services.records import JobStatus, User

HERE = Path(__file__).parent
ELSEWHERE_S = 3.0


def tab_notice(open_ids: Sequence[str], *, failed: Sequence[str] = (), canceled: Sequence[str] = ()) -> None:
    """Draws the button that asks for notification permission while jobs are open; the rest is outside the page.

    `open_ids` are the running and queued jobs, `failed` and `canceled` those known to have ended so. Says
    nothing about the pictures, and sends nothing.
    """
    data = {
        "open": list(open_ids),
        "failed": list(failed),
        "canceled": list(canceled),
        "words": words(HERE, "tab_notice.js"),
    }
    _component()(key="tab_notice", data=data)


def notice_elsewhere(studio: Studio, user: User) -> None:
    """Keeps reporting the Create page's jobs while another page is shown; no cost without open jobs."""
    if st.session_state.get("open_jobs"):
        st.fragment(_look, run_every=ELSEWHERE_S)(studio, user)


def _look(studio: Studio, user: User) -> None:
    in_line, failed = [], []
    now = datetime.now(UTC)
    for job_id in st.session_state.get("open_jobs", []):
        try:
            live = studio.live.watch(user, job_id)
        except StudioError:
            continue
        if not live.status.terminal:
            in_line += [] if live.job.waits_for_the_model(now) else [job_id]
        elif live.status is not JobStatus.SUCCEEDED:
            failed.append(job_id)
    tab_notice(in_line, failed=failed)


@cache
def _component() -> Callable[..., Any]:
    return st.components.v2.component(
        "atelier_tab_notice",
        css=(HERE / "tab_notice.css").read_text(encoding="utf-8"),
        js=script(HERE, "words.js", "tab_notice.js"),
    )
