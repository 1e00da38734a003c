"""Beside Generate: drafts first or not, and whether to wait until the model is awake anyway, each with its price."""

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
# A control of its own word: one that nothing is chosen in would be emptied by Ctrl+Enter, which presses it.
NO_DRAFTS = 0
WHEN = "press_when"
WITHIN = "press_within"
HOUR_S = 3600
# What can be chosen, in hours.
WITHIN_HOURS = (1, 6, 12, 24)
DEFAULT_HOURS = 6
ASLEEP = frozenset({EndpointState.COLD, EndpointState.STARTING})
WHEN_WORDS = {When.NOW: mark("Now"), When.WARM: mark("When the model is awake")}


def drafts_option(studio: Studio, requests: Sequence[JobRequest]) -> tuple[JobRequest, ...]:
    """Draws the choice of drafts for requests whose quality is above them; answers with what is to be sent.

    Several prompts share the drafts out among them, each gets as many as the others. Raises InvalidRequest for a model
    that is no longer offered.
    """
    request, prompts = requests[0], len(requests)
    if request.model is None:
        return tuple(requests)
    card = studio.catalogue.card(request.model)
    if draft_steps(card, request) is None:
        return tuple(requests)
    # Of counts that give each prompt the same the smallest stands for all.
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
    """Remembers a choice: a run that is cut short, or another page, forgets its widget."""
    st.session_state[f"kept_{key}"] = st.session_state[key]


def _restore(key: str) -> None:
    if key not in st.session_state and f"kept_{key}" in st.session_state:
        st.session_state[key] = st.session_state[f"kept_{key}"]


def is_asleep(studio: Studio, model: str) -> bool:
    """Whether a job sent now would wait for the model to wake."""
    return studio.endpoints.state(model).state in ASLEEP


def waiting_option(studio: Studio, requests: Sequence[JobRequest]) -> tuple[JobRequest, ...]:
    """Draws the choice while the model is asleep; answers with the requests as they are to be sent."""
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
    """With the wake: what is paid for it, by whom, and how long it takes."""
    return tr(
        "{price}, including {wake} for waking the model, which you are not charged · {time}",
        price=sentence_case(about(dollars(estimate.cost_usd + estimate.wake_usd))),
        wake=dollars(estimate.wake_usd),
        time=about(duration(estimate.total_s)),
    ).replace("$", "\\$")


def _warm_words(estimate: Estimate) -> str:
    """Without it."""
    return tr(
        "{price} · {time} once another job has woken the model",
        price=sentence_case(about(dollars(estimate.cost_usd))),
        time=about(duration(estimate.total_s)),
    ).replace("$", "\\$")
