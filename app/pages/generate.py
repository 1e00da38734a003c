"""The Create page: describe a picture, see its price, and watch it being drawn."""

from __future__ import annotations

import streamlit as st

from app.state import source_choice
from app.state.form_values import MEMORY, RECALLED, recall
from app.ui.create.generate_form import generate_form
from app.state.watched_jobs import follow
from app.ui.feed.job_feed import job_feed
from app.ui.create.recall_drop import recall_drop
from app.ui.viewer.viewer import open_linked
from app.i18n.texts import tr
from app.ui.common.error_boundary import error_boundary
from app.auth.session import require, studio
from app.i18n.wording import dollars
from services.build import Studio
from services.errors import StudioError
from services.records import User

user = require()


def usage_badge(studio: Studio, user: User) -> None:
    """Shows today's pictures and this month's dollars against the limits; read together with the feed."""
    if "feed" not in st.session_state or "usage" not in st.session_state:
        st.session_state["usage"] = studio.ledger.usage(user)
    usage = st.session_state["usage"]
    full = usage.images_today >= usage.daily_images
    spent = tr(
        "{spent} of {limit} this month",
        spent=dollars(usage.spent_month_usd),
        limit=dollars(usage.monthly_usd),
    )
    st.badge(
        tr("{count} of {limit} today", count=usage.images_today, limit=usage.daily_images),
        icon=":material/bolt:",
        color="orange" if full else "violet",
        help=spent.replace("$", "\\$"),
    )


def fill_from_address(studio: Studio, user: User) -> None:
    """After a reload, fills the form with the request of the job in the URL."""
    job_id = st.query_params.get("job")
    if MEMORY in st.session_state or not job_id:
        return
    try:
        job = studio.jobs.get(user, job_id)
        source = source_choice.current()
        recall(job.spec, studio.catalogue.card(job.spec.model), seed=False, job_id=job.id)
        if source is not None:
            source_choice.put(source)
        # Text typed before a reload or a lost server takes precedence over the job's prompt.
        del st.session_state[RECALLED]
    except StudioError:
        # The form stays empty if the job is deleted, belongs to another user, or used a model no longer offered.
        return


with st.container(horizontal=True, vertical_alignment="center", key="page_head"):
    st.title(tr("Create"), anchor=False, width="content")
    st.space("stretch")
    usage_badge(studio(), user)
fill_from_address(studio(), user)
left, right = st.columns([5, 8], gap="medium")
with left:
    with error_boundary():
        recall_drop(studio())
    submitted = generate_form(studio(), user)
    if submitted is not None:
        follow(submitted)
with right, error_boundary():
    job_feed(studio(), user)
open_linked(studio(), user, ())
