"""One job in full: prompt, settings, result, pictures, and actions."""

from __future__ import annotations

import streamlit as st

from app.i18n.texts import number, tr
from app.i18n.wording import (
    DRAWN_OVER,
    STATUS_WORDS,
    TASK_WORDS,
    cost_beside_estimate,
    duration,
    steps,
    time_beside_estimate,
)
from app.navigation import GENERATE
from app.state.watched_jobs import follow
from app.ui.common.error_banner import show_error
from app.ui.common.idempotency import press_key
from app.ui.common.job_remarks import show_failure, show_remarks
from app.ui.common.prompt_text import show_text
from app.ui.feed.job_feed import reuse
from app.ui.gallery.picture_grid import picture_grid
from app.ui.viewer.viewer import act_on
from services.build import Studio
from services.errors import StudioError
from services.jobs.drafts import is_missing
from services.records import Job, JobStatus, Task, User


def job_details(studio: Studio, user: User, job: Job) -> None:
    """Draws the job under the table."""
    with st.container(border=True, key="job_details", gap="small"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{tr(STATUS_WORDS[job.status])}**", width="content")
            st.space("stretch")
            _buttons(studio, user, job)
        show_text(job.spec.prompt)
        if job.spec.negative_prompt:
            st.caption(tr("Not in the picture"))
            show_text(job.spec.negative_prompt)
        show_failure(job)
        show_remarks(job)
        st.caption(_settings(job).replace("$", "\\$"))
        st.caption(tr("Job `{id}`", id=job.id))
        if job.status is JobStatus.SUCCEEDED:
            images = studio.images.list(user, job_id=job.id).items
            if not images:
                st.caption(tr("The pictures of this job have been deleted."))
            elif action := picture_grid(studio, images, key=f"history_grid_{job.id}", look="tiles"):
                act_on(studio, user, action, images)


def _retry(studio: Studio, user: User, job: Job) -> None:
    """Sends the same request, including its source pictures, as a new job and shows its progress or the error."""
    try:
        again = _sent_again(studio, user, job)
    except StudioError as error:
        show_error(error)
        return
    follow(again)
    st.switch_page(GENERATE, query_params={"job": again.id})


def _sent_again(studio: Studio, user: User, job: Job) -> Job:
    """Submits the new job; a job of drafts replaces the old one in its group. Raises StudioError."""
    if not is_missing(job):
        request = studio.repeats.request(job)
        return studio.jobs.submit(user, request, idempotency_key=press_key(f"retry_{job.id}", request))
    batch = studio.drafts.again(user, [job])
    if batch.refused is not None:
        raise batch.refused.error
    return batch.sent[0]


def _settings(job: Job) -> str:
    spec = job.spec
    words = [
        tr(TASK_WORDS[spec.task]),
        spec.model,
        f"{spec.width} x {spec.height}",
        steps(spec.steps),
        spec.scheduler,
        tr("guidance {value}", value=number(spec.guidance)),
        tr("seed {seed}", seed=spec.seed),
    ]
    if spec.strength is not None:
        words.append(tr("strength {value}", value=number(spec.strength)))
    if (took := time_beside_estimate(job)) is not None:
        words.append(took)
    elif job.timings is not None:
        words.append(duration(job.timings.total_s))
    return " · ".join([*words, cost_beside_estimate(job)])


def _buttons(studio: Studio, user: User, job: Job) -> None:
    # One key for both buttons, so that a click still works if the job ends in between.
    word, icon = (
        (tr("Show"), ":material/open_in_new:")
        if job.status.terminal
        else (tr("Watch"), ":material/visibility:")
    )
    if st.button(word, icon=icon, key="details_show", help=tr("On the first page")):
        follow(job)
        st.switch_page(GENERATE, query_params={"job": job.id})
    if not job.status.terminal:
        return
    if job.status is not JobStatus.SUCCEEDED and st.button(
        tr("Try again"),
        icon=":material/refresh:",
        type="primary",
        key="details_retry",
        help=tr("Run the same request as a new job"),
    ):
        _retry(studio, user, job)
    if st.button(
        tr("Use again"),
        icon=":material/replay:",
        key="details_again",
        help=tr(DRAWN_OVER) if job.spec.task is not Task.TEXT_TO_IMAGE else tr("Settings and seed"),
    ) and reuse(studio, job, seed=True):
        st.switch_page(GENERATE)
    with st.popover(tr("Delete"), icon=":material/delete:", key="details_delete"):
        st.markdown(tr("Permanently delete this job and its pictures?"))
        if not st.button(tr("Delete"), type="primary", key="details_sure"):
            return
        try:
            st.session_state["receipt"] = studio.jobs.delete(user, job.id)
        except StudioError as error:
            show_error(error)
            return
        for key in ("feed", "viewer_jobs"):
            st.session_state.pop(key, None)
        st.rerun()
