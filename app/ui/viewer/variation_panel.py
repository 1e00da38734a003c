"""Draws the same settings with other seeds: the number of pictures, the price, and the button."""

from __future__ import annotations

import streamlit as st

from app.i18n.texts import tr, tr_n
from app.ui.common.error_banner import show_error
from app.ui.common.idempotency import press_key
from app.ui.common.prices import price_words
from services.build import Studio
from services.catalogue.cards import MAX_SEED
from services.errors import StudioError
from services.records import Job, JobRequest, User

# The most times the search moves past seeds that were already drawn.
MOST_SKIPS = 5


def variation_panel(studio: Studio, user: User, job: Job) -> Job | None:
    """Draws the panel and returns the job that was just submitted."""
    try:
        most = studio.catalogue.card(job.spec.model).max_count
        count = most
        if most > 1:
            chosen = st.segmented_control(
                tr("How many"), list(range(1, most + 1)), default=most, required=True, key="variations_count"
            )
            count = int(chosen or most)
        request = _fresh(studio, user, job, count)
        estimate = studio.jobs.estimate(request)
    except StudioError as error:
        show_error(error)
        return None
    first = request.seed or 0
    last = (first + count - 1) % (MAX_SEED + 1)
    seeds = tr("seed {first}", first=first)
    if count > 1:
        seeds = tr("seeds {first} to {last}", first=first, last=last)
    st.caption(
        tr(
            "Same settings as this picture, with other seeds: {seeds}. Pictures from neighboring seeds are "
            "no more alike than any others.",
            seeds=seeds,
        )
    )
    pressed = st.button(
        tr_n("Draw {count} variation", "Draw {count} variations", count),
        type="primary",
        icon=":material/auto_awesome:",
        key="variations_draw",
    )
    st.caption(price_words(estimate))
    if not pressed:
        return None
    try:
        return studio.jobs.submit(user, request, idempotency_key=press_key("variations", request))
    except StudioError as error:
        show_error(error)
        return None


def _fresh(studio: Studio, user: User, job: Job, count: int) -> JobRequest:
    """Returns the next seeds for which this request has not been drawn yet."""
    request = studio.repeats.variations(job, count)
    for turn in range(1, MOST_SKIPS + 1):
        if studio.jobs.find_same(user, request) is None:
            break
        request = studio.repeats.variations(job, count, skip=turn * count)
    return request
