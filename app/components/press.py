"""What a press of Generate does: its price beforehand, the offer of what was drawn before, and the jobs."""

from __future__ import annotations

import time

import streamlit as st

from app.components.error_banner import in_words, show_error
from app.components.press_options import waiting_option
from app.components.prompt_tools import preview
from app.components.slots import Slots
from app.submission import Attempt, key_for
from app.wording import about, ago, dollars, duration, plural
from services.build import Studio
from services.errors import InvalidRequest, LimitReached, StudioError
from services.records import Estimate, Job, JobRequest, User


def press(
    studio: Studio, user: User, requests: tuple[JobRequest, ...], slots: Slots, clicked: bool
) -> Job | None:
    """Draws what stands under the button; answers with the job to follow, when there is one now.

    `requests` are what the form stands for, one for each prompt; `clicked` is whether the button was pressed.
    """
    priced = _price(studio, requests, slots, clicked)
    if priced:
        requests = waiting_option(studio, requests)
    return _answer(studio, user, requests, slots, clicked)


def _price(studio: Studio, requests: tuple[JobRequest, ...], slots: Slots, clicked: bool) -> bool:
    """Price and time under the button; False, and told at its widget, for a value that cannot be run."""
    try:
        estimate = studio.batches.estimate(requests)
    except InvalidRequest as error:
        if not clicked and not slots.show(error, requests[0]):
            show_error(error)
        return False
    st.caption(price_words(estimate, prompts=len(requests), count=requests[0].count))
    if len(requests) > 1:
        preview(tuple(request.prompt for request in requests))
    return True


def price_words(estimate: Estimate, *, prompts: int = 1, count: int = 1) -> str:
    """The line under the button, as a markdown label (a dollar sign would start a formula).

    What waking a sleeping model adds is said where the maker chooses whether to wake it.
    """
    price = about(dollars(estimate.cost_usd))
    if prompts == 1:
        words = f"{price[0].upper()}{price[1:]}"
    else:
        words = f"{prompts} prompts x {plural(count, 'picture')} = {prompts * count} pictures, {price}"
    words += f" · {about(duration(estimate.run_s + estimate.beyond_s))}"
    return words.replace("$", "\\$")


def _answer(
    studio: Studio, user: User, requests: tuple[JobRequest, ...], slots: Slots, clicked: bool
) -> Job | None:
    if clicked:
        st.session_state.pop("same_job", None)
        st.session_state.pop("partly_sent", None)
        try:
            same = _same(studio, user, requests)
        except StudioError as error:
            slots.tell(error, requests[0])
            return None
        if same is None:
            return _submit(studio, user, requests, slots)
        st.session_state["same_job"] = (requests[0], same)
    _show_partly_sent(requests)
    return _offer_same(studio, user, requests, slots)


def _same(studio: Studio, user: User, requests: tuple[JobRequest, ...]) -> Job | None:
    """The earlier job of a single request that would draw the same; several are drawn as they are asked for."""
    return studio.jobs.find_same(user, requests[0]) if len(requests) == 1 else None


def _offer_same(studio: Studio, user: User, requests: tuple[JobRequest, ...], slots: Slots) -> Job | None:
    """Offers the earlier pictures of an identical request for nothing, while the form still says the same."""
    asked, same = st.session_state.get("same_job", (None, None))
    if same is None or requests != (asked,):
        return None
    with st.container(key="same_job_offer", border=True):
        st.markdown(f"**You have drawn exactly this {ago(same.created_at)}.** It would be the same again.")
        with st.container(horizontal=True):
            show = st.button("Show it for \\$0", key="show_same", type="primary")
            again = st.button("Draw again anyway", key="draw_again")
    if show:
        st.session_state.pop("same_job")
        found: Job = same
        return found
    if again:
        st.session_state.pop("same_job")
        return _submit(studio, user, requests, slots)
    return None


def _submit(studio: Studio, user: User, requests: tuple[JobRequest, ...], slots: Slots) -> Job | None:
    """One job a prompt and press; a press that was not answered, or only in part, is repeated under its own key."""
    last: Attempt | None = st.session_state.get("attempt")
    attempt = Attempt(requests, key_for(last, requests, time.monotonic()))
    st.session_state["attempt"] = attempt
    again = last is not None and last.key == attempt.key
    batch = studio.batches.submit(user, requests, key=attempt.key, again=again)
    if batch.refused is None:
        st.session_state["attempt"] = Attempt(requests, attempt.key, answered_at=time.monotonic())
    else:
        error = batch.refused.error
        goes_on = error.retryable or (batch.sent and isinstance(error, LimitReached))
        if not goes_on:
            st.session_state.pop("attempt")
        if not batch.sent:
            slots.tell(error, batch.refused.request)
            return None
        words = (
            f"{len(batch.sent)} of {len(requests)} jobs were sent and go on. The others were not: "
            f"{in_words(error)}"
        )
        if goes_on:
            words += " Generate then sends only those that are missing."
        st.session_state["partly_sent"] = (requests, words)
        _show_partly_sent(requests)
    _watch(batch.sent[1:])
    return batch.sent[0]


def _show_partly_sent(requests: tuple[JobRequest, ...]) -> None:
    """How much of the last press was sent, while the form still says the same."""
    asked, words = st.session_state.get("partly_sent", (None, ""))
    if asked == requests:
        st.warning(words, icon=":material/speed:")


def _watch(jobs: tuple[Job, ...]) -> None:
    """Has the feed show the progress of jobs besides the one that is answered with, in their order below it."""
    shown: list[str] = st.session_state.setdefault("open_jobs", [])
    shown[:0] = [job.id for job in jobs if not job.status.terminal and job.id not in shown]
