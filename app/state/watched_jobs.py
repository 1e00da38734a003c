"""The jobs this session watches, and the one in the URL."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import streamlit as st

from app.i18n.texts import tr
from app.state import feed
from services.records import Job


def follow(job: Job) -> None:
    """Puts a job into the URL and watches it if it is still open."""
    st.query_params["job"] = job.id
    if job.status.terminal:
        feed.invalidate()
    elif job.id not in st.session_state.setdefault("open_jobs", []):
        watch([job])
        # On a phone, the progress is below the form and out of view.
        words = tr("Waiting for the model to start.") if _is_held(job) else tr("Drawing…")
        st.toast(words, icon=":material/auto_awesome:")


def watch(jobs: Sequence[Job]) -> None:
    """Makes the feed show the progress of jobs, in order, above those it already shows."""
    shown: list[str] = st.session_state.setdefault("open_jobs", [])
    new = [job for job in jobs if not job.status.terminal and job.id not in shown]
    shown[:0] = [job.id for job in new]
    held: set[str] = st.session_state.setdefault("held_jobs", set())
    held |= {job.id for job in new if _is_held(job)}


def _is_held(job: Job) -> bool:
    return job.waits_for_the_model(datetime.now(UTC))
