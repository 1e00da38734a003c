"""Every job with its request, result, and cost; deletes one job or all of them."""

from __future__ import annotations

import functools

import streamlit as st

from app.ui.history.erase_all import delete_everything, show_receipt
from app.ui.common.error_banner import show_error
from app.ui.history.history_table import show_table
from app.ui.history.job_details import job_details
from app.ui.viewer.viewer import open_linked
from app.ui.history.history_csv import history_csv
from app.ui.history.job_filter import JobFilter, find_jobs
from app.i18n.texts import tr
from app.auth.session import require, studio
from app.i18n.wording import STATUS_WORDS
from services.build import Studio
from services.errors import InvalidRequest, StudioError
from services.records import Job, JobStatus, Page, User

user = require()

ROWS = 100


def forget_cursor() -> None:
    """Resets the cursor: a changed filter starts at the first page."""
    st.session_state.pop("history_after", None)


def chosen_filter(studio: Studio) -> JobFilter:
    """The row of filters above the table."""
    models = {card.id: card.name for card in studio.catalogue.models()}
    with st.container(horizontal=True, vertical_alignment="bottom", key="history_filters"):
        statuses = st.multiselect(
            tr("State"),
            list(JobStatus),
            format_func=lambda status: tr(STATUS_WORDS[status]),
            key="history_status",
            placeholder=tr("Any"),
            on_change=forget_cursor,
            width=280,
        )
        model = None
        if len(models) > 1:
            model = st.selectbox(
                tr("Model"),
                [None, *models],
                format_func=lambda key: models[key] if key else tr("Any"),
                key="history_model",
                on_change=forget_cursor,
                width=180,
            )
        since = st.date_input(
            tr("From (UTC)"),
            value=None,
            key="history_since",
            on_change=forget_cursor,
            width=150,
            format="YYYY-MM-DD",
        )
        until = st.date_input(
            tr("To (UTC)"),
            value=None,
            key="history_until",
            on_change=forget_cursor,
            width=150,
            format="YYYY-MM-DD",
        )
    return JobFilter(statuses=frozenset(statuses) or None, model=model, since=since, until=until)


def read_jobs(studio: Studio, user: User, wanted: JobFilter) -> Page[Job]:
    """Returns the page of the table; a stale cursor leads to the first page."""
    lister = functools.partial(studio.jobs.list, user)
    try:
        return find_jobs(lister, wanted, after=st.session_state.get("history_after"), limit=ROWS)
    except InvalidRequest:
        forget_cursor()
        return find_jobs(lister, wanted, after=None, limit=ROWS)


with st.container(horizontal=True, vertical_alignment="center", key="page_head"):
    st.title(tr("History"), anchor=False, width="content")
    st.space("stretch")
    export = st.empty()
    if st.button(
        tr("Delete everything"), icon=":material/delete_forever:", type="tertiary", key="delete_all"
    ):
        delete_everything(studio(), user)
if (receipt := st.session_state.pop("receipt", None)) is not None:
    show_receipt(receipt)
wanted = chosen_filter(studio())
try:
    page = read_jobs(studio(), user, wanted)
except StudioError as error:
    show_error(error)
    st.stop()
if not page.items:
    with st.container(border=True, key="history_empty", horizontal_alignment="center"):
        st.markdown(f"**{tr('No jobs here.')}**", text_alignment="center")
        st.caption(
            tr("Jobs appear as soon as you press Generate. Filters may hide some."), text_alignment="center"
        )
else:
    # Generated on click from the full list, because the table holds only one page.
    export.download_button(
        tr("Export CSV"),
        functools.partial(history_csv, functools.partial(studio().jobs.list, user), wanted),
        file_name="atelier-history.csv",
        mime="text/csv",
        icon=":material/download:",
        type="tertiary",
        key="export_csv",
        on_click="ignore",
        help=tr("All jobs that match the filters"),
    )
selected = show_table(page.items) if page.items else None
with st.container(horizontal=True, horizontal_alignment="center", key="paging"):
    if st.session_state.get("history_after") and st.button(
        tr("Newest"), icon=":material/first_page:", key="newest"
    ):
        forget_cursor()
        st.rerun()
    if page.next and st.button(tr("Older"), icon=":material/chevron_right:", key="older"):
        st.session_state["history_after"] = page.next
        st.rerun()
if selected is not None:
    job_details(studio(), user, selected)
open_linked(studio(), user, ())
