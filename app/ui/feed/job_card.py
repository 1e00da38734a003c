"""The card of an open job: its state, its progress, and the button that cancels it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

import streamlit as st

from app.i18n.texts import tr
from app.i18n.wording import STATUS_WORDS, about, clock, dollars, duration, jobs, pictures
from app.ui.common.plain_text import one_line
from app.ui.common.prompt_text import show_text
from services.records import Estimate, Job, JobStatus, LiveJob

Asked = Literal["cancel", "run"]


def is_held(live: LiveJob) -> bool:
    """Whether a job waits until its model is awake."""
    return live.status is JobStatus.QUEUED and live.job.waits_for_the_model(datetime.now(UTC))


def progress_words(live: LiveJob, *, zone: str | None = None) -> str:
    """Returns the job's progress in one line: queue position, waking, step, time left. `zone` is the reader's zone."""
    parts: list[str] = []
    if is_held(live) and live.job.run_by is not None:
        return tr(
            "Waiting for the model to start; runs by {time} at the latest",
            time=clock(live.job.run_by, zone=zone),
        )
    if live.status is JobStatus.PROCESSING:
        parts.append(
            tr("Step {step} of {steps}", step=live.step, steps=live.steps)
            if live.step and live.steps
            else tr("Reading the prompt")
        )
    elif live.status is JobStatus.STARTING and live.ahead:
        parts.append(tr("Waiting for {jobs} ahead of it", jobs=jobs(live.ahead)))
    elif live.status is JobStatus.STARTING:
        parts.append(_starting_words(live.job.estimate))
    elif live.queue_position == 1:
        parts.append(tr("Next in the queue"))
    elif live.is_far_back:
        parts.append(tr("About number {place} in the queue", place=live.queue_position))
    elif live.queue_position:
        parts.append(tr("Number {place} in the queue", place=live.queue_position))
    else:
        parts.append(tr("Waiting for a free slot"))
    if live.eta_s is not None:
        parts.append(tr("{time} left", time=about(duration(live.eta_s))))
    return " · ".join(parts)


def _starting_words(estimate: Estimate) -> str:
    if estimate.cold_start_s < 1:
        return tr("Sent to the model, about to start")
    if estimate.cold_start_p90_s is None:
        return tr("The model is waking up")
    half, most = duration(estimate.cold_start_s), duration(estimate.cold_start_p90_s)
    return tr(
        "The model is waking up: {half} in half of the cases, {most} or less in 9 of 10",
        half=half,
        most=most,
    )


def progress_share(live: LiveJob) -> float:
    """Returns the progress, 0 to 1."""
    if not live.step or not live.steps:
        return 0.0
    return max(0.0, min(1.0, live.step / live.steps))


def price_words(job: Job) -> str:
    """Returns the estimated price and the cost of waking the model, as a Markdown label."""
    words = about(dollars(job.estimate.cost_usd))
    if job.estimate.wake_usd > 0:
        words = tr(
            "{price}, plus {wake} paid by the studio for waking the model",
            price=words,
            wake=dollars(job.estimate.wake_usd),
        )
    return words.replace("$", "\\$")


def job_card(live: LiveJob) -> Asked | None:
    """Draws the card and returns the action that was just requested."""
    job, run = live.job, False
    with st.container(border=True, key=f"job_{job.id}", gap="small"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            count = pictures(job.spec.count)
            st.markdown(f"**{tr(STATUS_WORDS[live.status])}** {count}", width="content")
            st.space("stretch")
            if is_held(live):
                run = st.button(
                    tr("Run now"),
                    icon=":material/bolt:",
                    type="tertiary",
                    key=f"run_{job.id}",
                    help=tr("Wakes the model for this job."),
                )
            cancel = st.button(tr("Cancel"), icon=":material/close:", type="tertiary", key=f"cancel_{job.id}")
        with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
            if live.preview_url:
                st.image(live.preview_url, width=96, alt=tr("Preview"))
            with st.container(gap="xsmall", width="stretch"):
                show_text(one_line(job.spec.prompt, 120))
                st.progress(progress_share(live))
                st.caption(f"{progress_words(live, zone=st.context.timezone)} · {price_words(job)}")
    return "cancel" if cancel else "run" if run else None
