"""For admins: cost by model and day, and how accurate the estimates were."""

from __future__ import annotations

import time

import pandas as pd
import streamlit as st

from app.i18n.texts import decimal_comma, mark, number, tr, tr_n
from app.ui.common.error_boundary import error_boundary
from app.auth.session import require, studio
from app.i18n.wording import day_of_month, dollars, jobs, per_cent
from services.build import Studio
from services.billing.costs import CostReport, CostRow
from services.formats.csv_cells import csv_file
from services.records import Role, User

user = require(Role.ADMIN)

SPANS = (7, 30)
# Reruns of the page must not read a whole month each time.
KEPT_S = 60.0
# Distinguishable on both themes.
COLORS = ("#6d5cff", "#ff8fa3", "#2bb3a3", "#e0a030", "#8a8fa8")
COLUMNS = {
    "model": mark("Model"),
    "jobs": mark("Jobs"),
    "images": mark("Pictures"),
    "gpu_s": mark("Model seconds"),
    "cost_usd": mark("Cost, USD"),
    "cold_starts": mark("Cold starts"),
    "price_error": mark("Price error"),
    "time_error": mark("Time error"),
}


def read(studio: Studio, user: User, days: int) -> CostReport:
    """Returns the report, cached for up to a minute."""
    known = st.session_state.get("cost_report")
    if known is None or known["days"] != days or time.monotonic() - known["at"] >= KEPT_S:
        known = {"days": days, "at": time.monotonic(), "report": studio.costs.report(user, days=days)}
        st.session_state["cost_report"] = known
    report: CostReport = known["report"]
    return report


def figures(total: CostRow) -> None:
    """Draws the totals over all models."""
    cells = (
        ("cost", tr("Cost"), dollars(total.cost_usd), jobs(total.jobs)),
        (
            "pictures",
            tr("Pictures"),
            number(total.images),
            tr("{seconds} model seconds", seconds=number(round(total.gpu_s))),
        ),
        ("cold_starts", tr("Cold starts"), number(total.cold_starts), tr("starts from zero instances")),
        ("price_off", tr("Price error"), per_cent(total.price_error), tr("median of all jobs")),
        ("time_off", tr("Time error"), per_cent(total.time_error), tr("median of all jobs")),
    )
    with st.container(horizontal=True, key="cost_figures"):
        for key, name, value, note in cells:
            with st.container(border=True, key=f"cost_{key}", gap="xsmall"):
                st.caption(name)
                st.markdown(f"**{value}**".replace("$", "\\$"))
                st.caption(note)
    if total.repeats:
        st.caption(
            tr_n(
                "{count} job was drawn twice, because an answer of the endpoint was lost or late. This took {seconds} "
                "model seconds for which no user is charged.",
                "{count} jobs were drawn twice, because answers of the endpoint were lost or late. This took {seconds} "
                "model seconds for which no user is charged.",
                total.repeats,
                seconds=number(round(total.repeat_gpu_s)),
            )
        )


def chart(report: CostReport) -> None:
    """Draws dollars per day by model, including days without cost."""
    frame = pd.DataFrame(
        [{"day": day.day, "model": day.model, "cost_usd": day.cost_usd} for day in report.days]
    )
    by_day = frame.pivot_table(index="day", columns="model", values="cost_usd", aggfunc="sum")
    by_day = by_day.reindex(pd.date_range(report.since, report.until).date, fill_value=0.0).fillna(0.0)
    by_day.index = by_day.index.map(day_of_month)
    st.bar_chart(
        by_day,
        x_label=tr("Day, UTC"),
        y_label=tr("US dollars"),
        height=240,
        sort=False,
        color=[COLORS[n % len(COLORS)] for n in range(len(by_day.columns))],
    )


def table(report: CostReport) -> None:
    """Draws one row per model, most expensive first, and a CSV download of the same rows."""
    frame = pd.DataFrame([row.model_dump() for row in report.models])[list(COLUMNS)]
    shown = frame.copy()
    for column in ("price_error", "time_error"):
        shown[column] = shown[column].astype(float) * 100
    st.dataframe(
        shown,
        hide_index=True,
        width="stretch",
        key="cost_table",
        column_config={
            **{column: tr(name) for column, name in COLUMNS.items()},
            "gpu_s": st.column_config.NumberColumn(tr(COLUMNS["gpu_s"]), format="%.1f"),
            "cost_usd": st.column_config.NumberColumn(tr(COLUMNS["cost_usd"]), format="$%.6f"),
            **{
                column: st.column_config.NumberColumn(
                    tr(COLUMNS[column]), format="%.0f %%", help=tr(OFF_HELP)
                )
                for column in ("price_error", "time_error")
            },
        },
    )
    st.download_button(
        tr("Export CSV"),
        csv_file(list(frame), frame.itertuples(index=False), decimal_comma=decimal_comma()),
        file_name=f"atelier-costs-{report.since}-{report.until}.csv",
        mime="text/csv",
        icon=":material/download:",
        type="tertiary",
        key="costs_csv",
        on_click="ignore",
    )


OFF_HELP = mark("Median error of the estimate, as a percentage of the actual value.")

with st.container(horizontal=True, vertical_alignment="center", key="page_head"):
    st.title(tr("Costs"), anchor=False, width="content")
    st.space("stretch")
    days = st.segmented_control(
        tr("Period"),
        list(SPANS),
        default=7,
        required=True,
        format_func=lambda days: tr_n("{count} day", "{count} days", days),
        key="cost_span",
        label_visibility="collapsed",
    )
with error_boundary():
    report = read(studio(), user, int(days or 7))
    if report.models:
        figures(report.total)
        chart(report)
        table(report)
    else:
        with st.container(border=True, key="costs_empty", horizontal_alignment="center"):
            st.markdown(f"**{tr('Nothing was drawn in this period.')}**", text_alignment="center")
            st.caption(
                tr("Each job's cost appears here under the day the job ended."), text_alignment="center"
            )
    st.caption(
        tr(
            "Days are in UTC. The cost is what users were charged: the seconds the model worked, at the "
            "price of its instance. AWS also bills for waking a model and keeping it awake; that is not "
            "included."
        )
    )
