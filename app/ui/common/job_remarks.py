"""Remarks about a job: withheld pictures, and a prompt that the model does not know."""

from __future__ import annotations

import streamlit as st

from app.i18n.failure_words import failure_words
from app.i18n.texts import tr_sentence
from app.i18n.wording import hint_words
from app.ui.common.plain_text import as_label, plain
from services.backends.withheld import withheld_words
from services.records import Job, JobStatus


def show_failure(job: Job) -> None:
    """Draws the reason if the job did not succeed."""
    if job.failure is not None:
        st.markdown(f":red[:material/error: {as_label(failure_words(job), 400)}]")


def show_remarks(job: Job) -> None:
    """Draws one line per remark; most jobs have none."""
    # A failed job's message already says it.
    if job.withheld and job.status is JobStatus.SUCCEEDED:
        words = as_label(tr_sentence(withheld_words(job.withheld, job.spec.count)), 300)
        st.markdown(f":orange[:material/visibility_off: {words}]")
    if job.hint is not None:
        # Both the prompt and the names are untrusted text, so they are never rendered as Markdown.
        with st.container(horizontal=True, gap="xsmall", key=f"hint_{job.id}"):
            st.markdown(":material/lightbulb:", width="content")
            st.text(plain(hint_words(job.spec, job.hint)), width="stretch")
