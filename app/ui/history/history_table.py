"""The table of jobs; cells are text or numbers, never markdown."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from app.i18n.failure_words import failure_words
from app.i18n.texts import mark, number, tr
from app.i18n.wording import STATUS_WORDS, TASK_WORDS, dollars
from app.ui.common.plain_text import one_line
from services.records import Job

LONGEST_PROMPT = 160
LONGEST_REASON = 200
# A pattern for the browser, which knows only English month names.
MOMENT = mark("D MMM YYYY, HH:mm")
REASON = mark("Result")


def as_frame(jobs: Sequence[Job]) -> pd.DataFrame:
    """Returns one row per job: times in UTC, formatted prices, and tenths of seconds as measured by the container."""
    # Translated once for all rows.
    states = {status: tr(words) for status, words in STATUS_WORDS.items()}
    tasks = {task: tr(words) for task, words in TASK_WORDS.items()}
    return pd.DataFrame(
        {
            "When": [job.created_at for job in jobs],
            "State": [_state(job, states[job.status]) for job in jobs],
            "Prompt": [one_line(job.spec.prompt, LONGEST_PROMPT) for job in jobs],
            REASON: [one_line(failure_words(job), LONGEST_REASON) if job.failure else None for job in jobs],
            "Kind": [tasks[job.spec.task] for job in jobs],
            "Pictures": [job.spec.count for job in jobs],
            "Price": [None if job.cost_usd is None else dollars(job.cost_usd) for job in jobs],
            "Seconds": [round(job.timings.total_s, 1) if job.timings else None for job in jobs],
            "Size": [f"{job.spec.width} x {job.spec.height}" for job in jobs],
            "Steps": [job.spec.steps for job in jobs],
            "Seed": [str(job.spec.seed) for job in jobs],
            "Model": [job.spec.model for job in jobs],
        }
    )


def _state(job: Job, words: str) -> str:
    """Returns the status in `words` and the number of withheld pictures."""
    if not job.withheld:
        return words
    return tr("{state}, {count} withheld", state=words, count=number(len(job.withheld)))


def show_table(jobs: Sequence[Job]) -> Job | None:
    """Draws the table and returns the job of the selected row."""
    zone = st.context.timezone
    chosen = st.dataframe(
        as_frame(jobs),
        hide_index=True,
        placeholder="–",
        width="stretch",
        height=min(36 * (len(jobs) + 1) + 3, 520),
        on_select="rerun",
        selection_mode="single-row",
        key=f"history_table_{jobs[0].id}",
        column_config={
            "When": st.column_config.DatetimeColumn(
                tr("When") if zone else tr("When (UTC)"), format=tr(MOMENT), timezone=zone or "UTC", width=150
            ),
            "State": st.column_config.TextColumn(tr("State"), width=120),
            "Prompt": st.column_config.TextColumn(tr("Prompt"), width=380),
            REASON: st.column_config.TextColumn(tr(REASON), width=260),
            "Kind": st.column_config.TextColumn(tr("Kind"), width=110),
            "Pictures": st.column_config.NumberColumn(tr("Pictures"), width=75),
            "Price": st.column_config.TextColumn(tr("Price"), width=100),
            "Seconds": st.column_config.NumberColumn(tr("Seconds"), format="localized", width=80),
            "Size": st.column_config.Column(tr("Size")),
            "Steps": st.column_config.Column(tr("Steps")),
            "Seed": st.column_config.Column(tr("Seed")),
            "Model": st.column_config.Column(tr("Model")),
        },
    )
    rows = chosen["selection"]["rows"]
    return jobs[rows[0]] if rows and rows[0] < len(jobs) else None
