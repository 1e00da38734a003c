"""Options next to Generate: drafts first, and whether to wait until the model is awake, each with its price."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import streamlit as st

from app.i18n.texts import mark, tr
from app.i18n.wording import about, clock, dollars, duration, sentence_case
from services.build import Studio
from services.jobs.drafts import COUNTS, draft_steps, each_of, plan
from services.records import EndpointState, Estimate, JobRequest, When

DRAFTS = "press_drafts"
# "Off" is a value of its own: Ctrl+Enter clicks the focused option and would clear a control without one.
NO_DRAFTS = 0
WHEN = "press_when"
WITHIN = "press_within"
HOUR_S = 3600
# The choices in hours.
WITHIN_HOURS = (1, 6, 12, 24)
DEFAULT_HOURS = 6
ASLEEP = frozenset({EndpointState.COLD, EndpointState.STARTING})
WHEN_WORDS = {When.NOW: mark("Now"), When.WARM: mark("When the model is awake")}


def drafts_option(studio: Studio, requests: Sequence[JobRequest]) -> tuple[JobRequest, ...]:
    """Draws the choice of drafts if the quality is above draft quality; returns the requests to send.

    Several prompts share the drafts evenly. Raises InvalidRequest for a model
    that is no longer offered.
    """
    request, prompts = requests[0], len(requests)
    if request.model is None:
        return tuple(requests)
    card = studio.catalogue.card(request.model)
    if draft_steps(card, request) is None:
        return tuple(requests)
    # Counts that give each prompt the same number of drafts are offered once, as the smallest.
    offered: dict[int, int] = {}
    for count in COUNTS:
        offered.setdefault(each_of(count, prompts), count)
    kept = int(st.session_state.get(f"kept_{DRAFTS}") or NO_DRAFTS)
    wanted = offered[each_of(kept, prompts)] if kept else NO_DRAFTS
    if st.session_state.get(DRAFTS) != wanted:
        st.session_state[DRAFTS] = wanted
    words = mark("{each} each") if prompts > 1 else "{each}"
    chosen = st.segmented_control(
        tr("Drafts first"),
        (NO_DRAFTS, *offered.values()),
        required=True,
        format_func=lambda count: tr(words, each=each_of(count, prompts)) if count else tr("Off"),
        key=DRAFTS,
        on_change=_keep,
        args=(DRAFTS,),
        width="stretch",
        help=tr(
            "Draws this many quick drafts per prompt. Pick the ones you like; only those are rendered at "
            "full quality."
        ),
    )
    return plan(card, requests, int(chosen)) if chosen else tuple(requests)


def _keep(key: str) -> None:
    """Stores a choice, because an interrupted run or another page clears its widget."""
    st.session_state[f"kept_{key}"] = st.session_state[key]


def _restore(key: str) -> None:
    if key not in st.session_state and f"kept_{key}" in st.session_state:
        st.session_state[key] = st.session_state[f"kept_{key}"]


def is_asleep(studio: Studio, model: str) -> bool:
    """Whether a job sent now would have to wake the model."""
    return studio.endpoints.state(model).state in ASLEEP


def waiting_option(studio: Studio, requests: Sequence[JobRequest]) -> tuple[JobRequest, ...]:
    """Draws the choice while the model is asleep; returns the requests to send."""
    model = studio.catalogue.card(requests[0].model).id if requests[0].model else ""
    if not model or not is_asleep(studio, model):
        return tuple(requests)
    now, warm = (
        studio.multi_submit.estimate([request.model_copy(update={"when": when}) for request in requests])
        for when in (When.NOW, When.WARM)
    )
    with st.container(key="press_when_box", gap="small"):
        _restore(WHEN)
        when = st.radio(
            tr("The model is asleep. When should it draw?"),
            [each.value for each in When],
            format_func=lambda value: tr(WHEN_WORDS[When(value)]),
            captions=[_now_words(now), _warm_words(warm)],
            key=WHEN,
            on_change=_keep,
            args=(WHEN,),
        )
        if when != When.WARM.value:
            return tuple(requests)
        hours = st.segmented_control(
            tr("At the latest"),
            WITHIN_HOURS,
            default=DEFAULT_HOURS,
            required=True,
            format_func=lambda hours: tr("in {count} h", count=hours),
            key=WITHIN,
            width="stretch",
        )
        hours = int(hours or DEFAULT_HOURS)
        at_the_latest = datetime.now(UTC) + timedelta(hours=hours)
        st.caption(
            tr(
                "If no other job has woken the model by {time}, this job does. You can run it sooner or "
                "cancel it at any time.",
                time=clock(at_the_latest, zone=st.context.timezone),
            )
        )
    wanted = {"when": When.WARM, "within_s": hours * HOUR_S}
    return tuple(request.model_copy(update=wanted) for request in requests)


def _now_words(estimate: Estimate) -> str:
    """Returns price and time including the wake, and who pays for it."""
    return tr(
        "{price}, including {wake} for waking the model, which you are not charged · {time}",
        price=sentence_case(about(dollars(estimate.cost_usd + estimate.wake_usd))),
        wake=dollars(estimate.wake_usd),
        time=about(duration(estimate.total_s)),
    ).replace("$", "\\$")


def _warm_words(estimate: Estimate) -> str:
    """Returns price and time without the wake."""
    return tr(
        "{price} · {time} once another job has woken the model",
        price=sentence_case(about(dollars(estimate.cost_usd))),
        time=about(duration(estimate.total_s)),
    ).replace("$", "\\$")
