"""What the studio cost, by model and day, and how well it was foretold. For admins."""

from __future__ import annotations

import time

import pandas as pd
import streamlit as st

from app.page_runner import errors_in_words
from app.session import require, studio
from app.wording import dollars, per_cent, plural
from services.build import Studio
from services.costs import CostReport, CostRow
from services.records import Role, User

user = require(Role.ADMIN)

SPANS = {7: "7 days", 30: "30 days"}
# A page that is clicked about in must not read a month each time.
KEPT_S = 60.0
# Told apart on both themes.
COLOURS = ("#6d5cff", "#ff8fa3", "#2bb3a3", "#e0a030", "#8a8fa8")
COLUMNS = {
    "model": "Model",
    "jobs": "Jobs",
    "images": "Pictures",
    "gpu_s": "Model seconds",
    "cost_usd": "Cost, USD",
    "cold_starts": "Cold starts",
    "price_error": "Price off by",
    "time_error": "Time off by",
}


def read(studio: Studio, user: User, days: int) -> CostReport:
    """The report, at most a minute old."""
    known = st.session_state.get("cost_report")
    if known is None or known["days"] != days or time.monotonic() - known["at"] >= KEPT_S:
        known = {"days": days, "at": time.monotonic(), "report": studio.costs.report(user, days=days)}
        st.session_state["cost_report"] = known
    report: CostReport = known["report"]
    return report


def figures(total: CostRow) -> None:
    """All models together."""
    cells = (
        ("Cost", dollars(total.cost_usd), plural(total.jobs, "job")),
        ("Pictures", str(total.images), f"{total.gpu_s:,.0f} model seconds"),
        ("Cold starts", str(total.cold_starts), "from zero to awake"),
        ("Price off by", per_cent(total.price_error), "half of the jobs, or less"),
        ("Time off by", per_cent(total.time_error), "half of the jobs, or less"),
    )
    with st.container(horizontal=True, key="cost_figures"):
        for name, value, note in cells:
            with st.container(border=True, key=f"cost_{name.replace(' ', '_')}", gap="xsmall"):
                st.caption(name)
                st.markdown(f"**{value}**".replace("$", "\\$"))
                st.caption(note)


def chart(report: CostReport) -> None:
    """Dollars a day, by model; days without any are there too."""
    frame = pd.DataFrame(
        [{"day": day.day, "model": day.model, "cost_usd": day.cost_usd} for day in report.days]
    )
    by_day = frame.pivot_table(index="day", columns="model", values="cost_usd", aggfunc="sum")
    by_day = by_day.reindex(pd.date_range(report.since, report.until).date, fill_value=0.0).fillna(0.0)
    by_day.index = by_day.index.map(lambda day: f"{day:%d %b}")
    st.bar_chart(
        by_day,
        x_label="Day, UTC",
        y_label="US dollars",
        height=240,
        sort=False,
        color=[COLOURS[n % len(COLOURS)] for n in range(len(by_day.columns))],
    )


def table(report: CostReport) -> None:
    """One line a model, the dearest first, and the same as a file."""
    frame = pd.DataFrame([row.model_dump() for row in report.models])[list(COLUMNS)]
    shown = frame.rename(columns=COLUMNS)
    for column in ("Price off by", "Time off by"):
        shown[column] = shown[column].astype(float) * 100
    st.dataframe(
        shown,
        hide_index=True,
        width="stretch",
        key="cost_table",
        column_config={
            "Model seconds": st.column_config.NumberColumn(format="%.1f"),
            "Cost, USD": st.column_config.NumberColumn(format="$%.6f"),
            "Price off by": st.column_config.NumberColumn(format="%.0f %%", help=OFF_HELP),
            "Time off by": st.column_config.NumberColumn(format="%.0f %%", help=OFF_HELP),
        },
    )
    st.download_button(
        "Export CSV",
        frame.to_csv(index=False).encode("utf-8-sig"),
        file_name=f"atelier-costs-{report.since}-{report.until}.csv",
        mime="text/csv",
        icon=":material/download:",
        type="tertiary",
        key="costs_csv",
        on_click="ignore",
    )


OFF_HELP = (
    "The median of the difference between what was said before and what it was, in per cent of the latter."
)

with st.container(horizontal=True, vertical_alignment="center", key="page_head"):
    st.title("Costs", anchor=False, width="content")
    st.space("stretch")
    days = st.segmented_control(
        "Span",
        list(SPANS),
        default=7,
        required=True,
        format_func=SPANS.__getitem__,
        key="cost_span",
        label_visibility="collapsed",
    )
with errors_in_words():
    report = read(studio(), user, int(days or 7))
    if report.models:
        figures(report.total)
        chart(report)
        table(report)
    else:
        with st.container(border=True, key="costs_empty", horizontal_alignment="center"):
            st.markdown("**Nothing was drawn in this time.**", text_alignment="center")
            st.caption("What jobs cost is counted here by the day they ended on.", text_alignment="center")
    st.caption(
        "Days are UTC. The cost is what was charged: the model's own seconds at its instance's price. Waking a model "
        "and keeping it awake are on AWS's bill, and not in it."
    )
