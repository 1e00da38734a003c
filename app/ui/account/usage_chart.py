"""Charts of this month: pictures per day against the daily limit, cumulative dollars against the monthly one."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import streamlit as st
from babel.numbers import get_decimal_symbol, get_group_symbol

from app.i18n.texts import current, tr
from app.i18n.wording import day_of_month, dollars, pictures
from services.billing.ledger import DayUsage

HEIGHT_PX = 190
# A limit this many times the usage would flatten the chart, so only the text mentions it.
FAR = 4.0
COLOR, LIMIT_COLOR = "#8b7bff", "#e5484d"


def usage_chart(days: Sequence[DayUsage], *, daily_images: int, monthly_usd: float) -> None:
    """Draws both charts, each with a text summary."""
    spent = list(accumulate(day.cost_usd for day in days))
    drawn, charged = st.columns(2)
    with drawn, st.container(border=True, key="chart_pictures", gap="small"):
        st.caption(tr("Pictures per day, this month"))
        # Without pictures the charts would be empty axes.
        if any(day.images for day in days):
            st.vega_lite_chart(
                chart(days, [day.images for day in days], limit=daily_images, mark="bar"),
                width="stretch",
            )
        st.caption(pictures_words(days, daily_images))
    with charged, st.container(border=True, key="chart_spent", gap="small"):
        st.caption(tr("Spent so far, this month"))
        if any(spent):
            st.vega_lite_chart(
                chart(days, spent, limit=monthly_usd, mark="area", money=True),
                width="stretch",
            )
        words = tr(
            "{spent} of {limit} per month charged.",
            spent=dollars(spent[-1] if spent else 0),
            limit=dollars(monthly_usd),
        )
        st.caption(f"{words[0].upper()}{words[1:]}".replace("$", "\\$"))


def pictures_words(days: Sequence[DayUsage], daily_images: int) -> str:
    """Returns a text version of the chart for screen readers."""
    most = max(days, key=lambda day: day.images, default=None)
    if most is None or most.images == 0:
        return tr("None yet. The limit is {count} per day.", count=daily_images)
    return tr(
        "{total} in total. The maximum was {most} of {limit} on {day}.",
        total=pictures(sum(day.images for day in days)),
        day=day_of_month(most.day),
        most=most.images,
        limit=daily_images,
    )


def chart(
    days: Sequence[DayUsage], values: Sequence[float], *, limit: float, mark: str, money: bool = False
) -> dict[str, Any]:
    """Returns a Vega-Lite chart of pictures or dollars by day; draws the limit as a line if it is near enough."""
    highest = max(values, default=0.0)
    near = limit <= highest * FAR
    rows = [{"day": day.day.day, "value": value} for day, value in zip(days, values, strict=True)]
    shown: dict[str, Any] = {
        "data": {"values": rows},
        "mark": {"type": mark, "color": COLOR, "opacity": 0.9, "tooltip": True},
        "encoding": {
            "x": {
                "field": "day",
                "type": "ordinal",
                "title": None,
                "scale": {"domain": list(range(1, 32))},
                "axis": {"labelAngle": 0, "labelOverlap": True},
            },
            "y": {
                "field": "value",
                "type": "quantitative",
                "title": None,
                "axis": {
                    "format": "$.2~r" if money else "d",
                    "tickMinStep": 1e-6 if money else 1,
                    "tickCount": 4,
                },
                "scale": {"domain": [0, limit * 1.05 if near else highest * 1.2 or 1]},
            },
        },
    }
    layers = [shown]
    if near:
        layers.append(
            {
                "data": {"values": [{"limit": limit}]},
                "mark": {"type": "rule", "color": LIMIT_COLOR, "strokeDash": [5, 4]},
                "encoding": {"y": {"field": "limit", "type": "quantitative"}},
            }
        )
    what = tr("US dollars") if money else tr("Pictures")
    return {
        "height": HEIGHT_PX,
        "layer": layers,
        "description": tr("This month by day: {what}", what=what),
        "config": {"locale": {"number": _number_signs()}},
    }


def _number_signs() -> dict[str, Any]:
    """Returns the Vega locale for numbers and dollars in the reader's language."""
    before, _, after = dollars(0).partition("0")
    return {
        "decimal": get_decimal_symbol(current()),
        "thousands": get_group_symbol(current()),
        "grouping": [3],
        "currency": [before, after],
    }
