"""What Generate does: shows the price, offers identical earlier pictures, and submits the jobs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from app.i18n.texts import mark, tr
from app.i18n.wording import about, ago, dollars
from app.state import form_values as form
from app.state.watched_jobs import watch
from app.ui.common.error_banner import in_words, show_error
from app.ui.common.idempotency import Attempt, key_for
from app.ui.common.place import Place
from app.ui.common.prices import price_words
from app.ui.create.field_errors import FieldErrors
from app.ui.create.prompt_tools import preview
from app.ui.create.submit_options import drafts_option, waiting_option
from services.build import Studio
from services.errors import InvalidRequest, LimitReached, StudioError
from services.jobs.drafts import in_group
from services.jobs.multi_submit import SubmitResult
from services.records import Job, JobRequest, User

Requests = tuple[JobRequest, ...]


def press(
    studio: Studio,
    user: User,
    requests: Requests,
    field_errors: FieldErrors,
    price: Place,
    clicked: bool,
) -> Job | None:
    """Draws what is under the button; returns the job to watch, if there is one.

    `requests` are the form's requests, one per prompt; `price` is the placeholder for their price; `clicked` is
    whether the button was pressed.
    """
    try:
        wanted = drafts_option(studio, requests)
        estimate = studio.multi_submit.estimate(wanted)
    except InvalidRequest as error:
        if not clicked and not field_errors.show_at_field(error, requests[0]):
            show_error(error)
        form.drawn()
        return _answer(studio, user, requests, field_errors, clicked)
    price.caption(price_words(estimate, wanted))
    if len(requests) > 1:
        preview(tuple(request.prompt for request in requests))
    wanted = waiting_option(studio, wanted)
    form.drawn()
    return _answer(studio, user, wanted, field_errors, clicked)


def _answer(
    studio: Studio, user: User, requests: Requests, field_errors: FieldErrors, clicked: bool
) -> Job | None:
    if clicked:
        st.session_state.pop("same_jobs", None)
        st.session_state.pop("partly_sent", None)
        try:
            same = studio.multi_submit.find_same(user, requests)
        except StudioError as error:
            field_errors.show_or_banner(error, requests[0])
            return None
        if not any(same):
            return _submit(studio, user, requests, field_errors)
        st.session_state["same_jobs"] = (requests, same)
    _show_partly_sent(requests)
    return _offer_same(studio, user, requests, field_errors)


def _offer_same(studio: Studio, user: User, requests: Requests, field_errors: FieldErrors) -> Job | None:
    """Offers the earlier pictures of identical requests for free while the form is unchanged."""
    asked, same = st.session_state.get("same_jobs", ((), ()))
    if not same or requests != asked:
        return None
    earlier = [job for job in same if job is not None]
    others = tuple(request for request, job in zip(requests, same, strict=True) if job is None)
    with st.container(key="same_job_offer", border=True):
        st.markdown(_same_words(requests, earlier))
        if others:
            st.caption(_saving_words(studio, requests, others))
        with st.container(horizontal=True):
            if others:
                only = st.button(
                    tr("Draw only the other {count}", count=_counted(others)),
                    key="draw_others",
                    type="primary",
                )
                again = st.button(tr("Draw all {count} anyway", count=_counted(requests)), key="draw_again")
                show = False
            else:
                words = tr("Show it for \\$0") if _counted(requests) == 1 else tr("Show them for \\$0")
                show = st.button(words, key="show_same", type="primary")
                again = st.button(tr("Draw again anyway"), key="draw_again")
                only = False
    if not (show or again or only):
        return None
    st.session_state.pop("same_jobs")
    if again:
        return _submit(studio, user, requests, field_errors)
    st.session_state["shown_again"] = [job.id for job in earlier]
    return _submit(studio, user, others, field_errors) if only else earlier[0]


def _counted(requests: Requests) -> int:
    """Returns the number shown to the user: drafts count by picture, everything else by prompt."""
    drafts = requests[0].draft is not None
    return sum(request.count for request in requests) if drafts else len(requests)


def _same_words(requests: Requests, earlier: Sequence[Job]) -> str:
    every, are_drafts = _counted(requests), requests[0].draft is not None
    if every == 1:
        return tr(
            "**You already drew exactly this, {ago}.** The result would be identical.",
            ago=ago(earlier[0].created_at),
        )
    if len(earlier) == len(requests):
        words = mark("**You already drew all {every} of these.** The results would be identical.")
        of_drafts = mark("**You already drew all {every} of these drafts.** The results would be identical.")
        return tr(of_drafts if are_drafts else words, every=every)
    words = mark("**You already drew {drawn} of these {every}.** They are shown for \\$0.")
    of_drafts = mark("**You already drew {drawn} of these {every} drafts.** They are shown for \\$0.")
    drawn = sum(job.spec.count for job in earlier) if are_drafts else len(earlier)
    return tr(of_drafts if are_drafts else words, drawn=drawn, every=every)


def _saving_words(studio: Studio, requests: Requests, others: Requests) -> str:
    """Returns the price of the others, and the saving from not drawing the rest again."""
    every, rest = (studio.multi_submit.estimate(some).cost_usd for some in (requests, others))
    words = tr(
        "The other {count}: {price}. That saves {saved}.",
        count=_counted(others),
        price=about(dollars(rest)),
        saved=about(dollars(every - rest)),
    )
    return words.replace("$", "\\$")


@dataclass(frozen=True)
class Sent:
    """The result of a click: its jobs, and why some were not sent (None: all were); `goes_on` if the same click
    again would send the rest."""

    batch: SubmitResult
    goes_on: bool = False


def send(studio: Studio, user: User, requests: Requests, *, place: str) -> Sent:
    """Submits one job per request; a click that got no or only a partial answer is repeated under its own key.

    `place` names the button: each button has its own attempts.
    """
    last: Attempt | None = st.session_state.get(place)
    attempt = Attempt(requests, key_for(last, requests, time.monotonic()))
    st.session_state[place] = attempt
    again = last is not None and last.key == attempt.key
    batch = studio.multi_submit.submit(user, in_group(requests, attempt.key), key=attempt.key, again=again)
    if batch.refused is None:
        st.session_state[place] = Attempt(requests, attempt.key, answered_at=time.monotonic())
        return Sent(batch)
    error = batch.refused.error
    goes_on = error.retryable or (bool(batch.sent) and isinstance(error, LimitReached))
    if not goes_on:
        st.session_state.pop(place)
    return Sent(batch, goes_on)


def partly_sent_words(sent: Sent, error: StudioError, count: int, *, button: str) -> str:
    """Says how many jobs were sent and why not all. `button` is the label to click for the rest."""
    words = tr(
        "{sent} of {count} jobs were sent and are running. The others were not sent: {why}",
        sent=len(sent.batch.sent),
        count=count,
        why=in_words(error),
    )
    if not sent.goes_on:
        return words
    return words + " " + tr("Choose {button} again to send only the missing ones.", button=button)


def _submit(studio: Studio, user: User, requests: Requests, field_errors: FieldErrors) -> Job | None:
    sent = send(studio, user, requests, place="attempt")
    batch = sent.batch
    if batch.refused is not None:
        if not batch.sent:
            field_errors.show_or_banner(batch.refused.error, batch.refused.request)
            return None
        words = partly_sent_words(sent, batch.refused.error, len(requests), button=tr("Generate"))
        st.session_state["partly_sent"] = (requests, words)
        _show_partly_sent(requests)
    watch(batch.sent[1:])
    return batch.sent[0]


def _show_partly_sent(requests: Requests) -> None:
    """Shows how many jobs of the last click were sent while the form is unchanged."""
    asked, words = st.session_state.get("partly_sent", (None, ""))
    if asked == requests:
        st.warning(words, icon=":material/speed:")
