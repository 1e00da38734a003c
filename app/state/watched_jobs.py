"""Which jobs this session shows progress of, and which one the address names."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import streamlit as st

from app.i18n.texts import tr
from app.state import feed
from services.records import Job


def follow(job: Job) -> None:
    """Makes a job the one in the address, and has its progress shown if it is still going."""
    st.query_params["job"] = job.id
    if job.status.terminal:
        feed.invalidate()
    elif job.id not in st.session_state.setdefault("open_jobs", []):
        watch([job])
        # On a telephone the progress is below the form, out of sight.
        words = tr("Waiting for the model to start.") if _is_held(job) else tr("Drawing…")
        st.toast(words, icon=":material/auto_awesome:")


def watch(jobs: Sequence[Job]) -> None:
    """Has the feed show the progress of jobs, in their order, above what it shows already."""
    shown: list[str] = st.session_state.setdefault("open_jobs", [])
    new = [job for job in jobs if not job.status.terminal and job.id not in shown]
    shown[:0] = [job.id for job in new]
    held: set[str] = st.session_state.setdefault("held_jobs", set())
    held |= {job.id for job in new if _is_held(job)}


def _is_held(job: Job) -> bool:
    return job.waits_for_the_model(datetime.now(UTC))
