"""The feed of the Create page: live running jobs, then drawn pictures, newest first."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import streamlit as st

from app.i18n.failure_words import failure_words
from app.i18n.texts import tr
from app.i18n.wording import (
    STATUS_WORDS,
    ago,
    cost_beside_estimate,
    duration,
    time_beside_estimate,
)
from app.state import form_values as form
from app.state.feed import invalidate
from app.streamlit_internals.fragment_interval import set_interval
from app.streamlit_internals.script_context import session_id
from app.ui.common.error_banner import show_error
from app.ui.common.error_boundary import error_boundary
from app.ui.common.job_remarks import show_remarks
from app.ui.common.plain_text import as_label, one_line
from app.ui.common.prompt_text import show_text
from app.ui.common.tab_notice import tab_notice
from app.ui.feed.draft_batches import in_order, press_facts, press_of, whole_presses
from app.ui.feed.draft_groups import beside_drafts, draft_group, draft_of, draft_title
from app.ui.feed.job_card import is_held, job_card
from app.ui.feed.poll_interval import POLL_S, poll_budget, poll_s
from app.ui.gallery.picture_grid import picture_grid
from app.ui.viewer.viewer import act_on
from services.build import Studio
from services.errors import Conflict, InvalidRequest, NotFound
from services.records import Image, Job, JobStatus, LiveJob, User

PICTURES = 24
# New pictures and jobs of another window appear within this time, with the next run.
FEED_MAX_AGE_S = 30.0
MOST_ENDED = 5


@dataclass(frozen=True)
class Feed:
    """The content below the open jobs: pictures, their jobs, and the drafts of finished pictures."""

    read_at: float
    images: tuple[Image, ...]
    jobs: dict[str, Job]
    drafts: dict[str, Image]


def job_feed(studio: Studio, user: User) -> None:
    """Draws the feed. Reads jobs and pictures at most every 30 s, or when a job ended."""
    feed = _read(studio, user)
    ids: list[str] = st.session_state["open_jobs"]
    # The fragment polls only while something runs: an idle page costs the server nothing.
    pace = st.session_state.setdefault("poll_s", POLL_S)
    st.fragment(_live, run_every=pace if ids else None)(studio, user)
    ended: dict[str, Job] = st.session_state.get("ended", {})
    # Not in the fragment: the notice changes with a run of the whole page, not with each poll.
    canceled = [job.id for job in ended.values() if job.status is JobStatus.CANCELED]
    tab_notice(
        [job_id for job_id in ids if job_id not in st.session_state["held_jobs"]],
        failed=[job_id for job_id in ended if job_id not in canceled],
        canceled=canceled,
    )
    groups = _groups(feed, ids)
    drafted = {job.id for images in groups for job in press_of(feed.jobs, images[0].job_id)}
    for job in list(ended.values()):
        # Next to the other drafts of its group, the failure is shown there.
        if job.id not in drafted:
            _ended(studio, job)
    if not groups and not ids and not ended:
        _nothing_yet()
    finished = {
        image_id
        for job in feed.jobs.values()
        if job.status is JobStatus.SUCCEEDED
        for image_id in _drafts_of(job, feed)
    }
    for index, images in enumerate(groups):
        _pictures(studio, user, images, feed, finished, ids, large=index == 0)


def _groups(feed: Feed, open_ids: list[str]) -> list[list[Image]]:
    """Groups the pictures by job and drafts by click; the job in the URL comes first, then the newest."""
    asked = [*st.query_params.get_all("job"), *st.session_state.get("shown_again", [])]

    def group_of(image: Image) -> str:
        job = feed.jobs.get(image.job_id)
        return f"drafts {job.draft.group}" if job and job.draft else image.job_id

    groups: dict[str, list[Image]] = {}
    for image in feed.images:
        if image.job_id not in open_ids:
            groups.setdefault(group_of(image), []).append(image)
    for name, images in groups.items():
        if name.startswith("drafts "):
            images.sort(key=in_order(feed.jobs))

    def place(images: list[Image]) -> int:
        places = [asked.index(image.job_id) for image in images if image.job_id in asked]
        return min(places, default=len(asked))

    return sorted(groups.values(), key=place)


def _drafts_of(job: Job, feed: Feed) -> dict[str, int]:
    """Returns, for a job that finished drafts, the draft id of each picture with the picture's number."""
    if job.final_of is None or (draft := feed.jobs.get(job.final_of)) is None:
        return {}
    return {draft_id: n for n in range(job.spec.count) if (draft_id := draft_of(job, draft, n)) is not None}


def _read(studio: Studio, user: User) -> Feed:
    known: Feed | None = st.session_state.get("feed")
    if known is not None and time.monotonic() - known.read_at < FEED_MAX_AGE_S:
        return known
    images = studio.images.list(user, limit=PICTURES).items
    open_jobs, now = studio.jobs.open(user), datetime.now(UTC)
    st.session_state["open_jobs"] = [job.id for job in open_jobs]
    st.session_state["held_jobs"] = {job.id for job in open_jobs if job.waits_for_the_model(now)}
    focused = st.query_params.get("job")
    for asked in [focused, *st.session_state.get("shown_again", [])]:
        if asked and asked not in st.session_state["open_jobs"]:
            images = _with_focused(studio, user, asked, images)
    feed = _with_jobs(studio, user, images)
    st.session_state["feed"] = feed
    return feed


def _with_jobs(studio: Studio, user: User, images: tuple[Image, ...]) -> Feed:
    """Returns the pictures with their jobs, the other drafts of their groups, and the drafts of finished pictures.

    Two AWS calls, three with finals; and those of `whole_presses`.
    """
    jobs = studio.jobs.find_many(user, [image.job_id for image in images])
    finals = [job for job in jobs.values() if job.final_of is not None]
    drafted = studio.jobs.find_many(user, [str(job.final_of) for job in finals])
    stored = studio.images.of_jobs(user, list(drafted.values())) if drafted else {}
    drafts = {image.id: image for of_job in stored.values() for image in of_job}
    ended: dict[str, Job] = st.session_state.get("ended", {})
    images, jobs = whole_presses(studio, user, images, drafted | jobs, ended.values())
    return Feed(time.monotonic(), images, jobs, drafts)


def _with_focused(studio: Studio, user: User, job_id: str, images: tuple[Image, ...]) -> tuple[Image, ...]:
    """Returns the pictures, preceded by those of the requested job if it is older than the newest ones."""
    if any(image.job_id == job_id for image in images):
        return images
    try:
        job = studio.jobs.get(user, job_id)
    except NotFound:
        if st.query_params.get("job") == job_id:
            del st.query_params["job"]
        return images
    if job.status is not JobStatus.SUCCEEDED:
        _keep_ended(job)
        return images
    return studio.images.list(user, job_id=job_id).items + images


def _live(studio: Studio, user: User) -> None:
    """Polls once and draws every open job's card; reruns the whole page if a job has ended."""
    over, shown = False, list[LiveJob]()
    held: set[str] = st.session_state.setdefault("held_jobs", set())
    with error_boundary():
        for job_id in list(st.session_state["open_jobs"]):
            try:
                live = studio.live.watch(user, job_id)
            except NotFound:
                _leave(job_id)
                over = True
                continue
            if live.status.terminal:
                _leave(job_id)
                if live.status is not JobStatus.SUCCEEDED:
                    _keep_ended(live.job)
                over = True
                continue
            waits = is_held(live)
            asked = job_card(live)
            if asked == "cancel":
                _cancel(studio, user, job_id)
            elif asked == "run":
                studio.jobs.run_now(user, job_id)
            elif waits is not (job_id in held):
                # From here on, the tab's title counts it or stops counting it.
                held ^= {job_id}
            else:
                shown.append(live)
                continue
            over = True
    if over:
        invalidate()
        st.rerun()
    page = session_id()
    min_interval_s = 0.0 if page is None else poll_budget.min_interval_s(page, time.monotonic())
    pace = poll_s(shown, datetime.now(UTC), min_interval_s=min_interval_s)
    if shown and pace != st.session_state["poll_s"]:
        st.session_state["poll_s"] = pace
        set_interval(pace)


def _cancel(studio: Studio, user: User, job_id: str) -> None:
    """Cancels the job; a job that has already ended shows its result."""
    try:
        _keep_ended(studio.jobs.cancel(user, job_id))
    except Conflict:
        job = studio.jobs.get(user, job_id)
        if job.status is not JobStatus.SUCCEEDED:
            _keep_ended(job)
    _leave(job_id)


def _leave(job_id: str) -> None:
    """Stops watching a job. If another run of the page interrupts this one here, that run reads everything again."""
    invalidate()
    st.session_state["open_jobs"].remove(job_id)


def _keep_ended(job: Job) -> None:
    ended: dict[str, Job] = st.session_state.setdefault("ended", {})
    ended[job.id] = job
    while len(ended) > MOST_ENDED:
        ended.pop(next(iter(ended)))


def _ended(studio: Studio, job: Job) -> None:
    """Draws a job without pictures: the reason and the button to retry."""
    with st.container(border=True, key=f"ended_{job.id}", gap="small"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{tr(STATUS_WORDS[job.status])}** · {ago(job.created_at)}", width="content")
            st.space("stretch")
            again = st.button(
                tr("Edit and retry"), icon=":material/edit:", type="tertiary", key=f"retry_{job.id}"
            )
            with st.container(key=f"icons_ended_{job.id}", width="content"):
                gone = st.button(
                    tr("Hide"),
                    icon=":material/close:",
                    type="tertiary",
                    key=f"dismiss_{job.id}",
                    help=tr("Hide"),
                )
        show_text(one_line(job.spec.prompt, 160))
        if job.failure is not None:
            st.markdown(f":red[:material/error: {as_label(failure_words(job), 400)}]")
        st.caption(tr("Nothing was charged."))
    if again or gone:
        st.session_state["ended"].pop(job.id, None)
        if st.query_params.get("job") == job.id:
            del st.query_params["job"]
        if again:
            reuse(studio, job, seed=False)
        st.rerun()


def reuse(studio: Studio, job: Job, *, seed: bool) -> bool:
    """Fills the form with a job's values and source picture; False (with a message) if its model is no longer
    offered."""
    try:
        form.recall(job.spec, studio.catalogue.card(job.spec.model), seed=seed, job_id=job.id)
    except InvalidRequest as error:
        show_error(error)
        return False
    return True


def _pictures(
    studio: Studio,
    user: User,
    images: list[Image],
    feed: Feed,
    finished: set[str],
    open_ids: list[str],
    *,
    large: bool,
) -> None:
    first = images[0]
    job = feed.jobs.get(first.job_id)
    press = press_of(feed.jobs, first.job_id)
    with st.container(key=f"drawn_{first.job_id}", gap="small"):
        with st.container(
            horizontal=True,
            vertical_alignment="center",
            gap="small",
            wrap=False,
            key=f"icons_drawn_{first.job_id}",
        ):
            remix, again = False, False
            if not draft_title(press):
                show_text(one_line(first.prompt, 90))
                remix = st.button(
                    tr("Remix"),
                    icon=":material/shuffle:",
                    type="tertiary",
                    key=f"remix_{first.job_id}",
                    help=tr("Remix: the same settings, a new seed"),
                )
                again = st.button(
                    tr("Use all settings"),
                    icon=":material/replay:",
                    type="tertiary",
                    key=f"all_{first.job_id}",
                    help=tr("Use all settings, including the seed"),
                )
        if press:
            action = draft_group(studio, user, feed.jobs, images, finished, open_ids)
        elif job is not None and (drafts := _drafts_of(job, feed)):
            beside = {n: feed.drafts[draft_id] for draft_id, n in drafts.items() if draft_id in feed.drafts}
            action = beside_drafts(studio, job, images, beside)
            images = [*images, *beside.values()]
        else:
            look: Literal["tiles", "large"] = "large" if large else "tiles"
            action = picture_grid(studio, images, key=f"grid_{first.job_id}", look=look)
        if press:
            st.caption(press_facts(press))
        else:
            if job is not None and large:
                show_remarks(job)
            st.caption(_facts(job) if job is not None and large else _short_facts(first, job))
    if remix or again:
        if reuse(studio, studio.jobs.get(user, first.job_id), seed=again):
            st.rerun()
    elif action is not None:
        act_on(studio, user, action, images)


def _short_facts(image: Image, job: Job | None) -> str:
    words = [ago(image.created_at)]
    if job is not None:
        words.append(cost_beside_estimate(job).replace("$", "\\$"))
    return " · ".join(words)


def _facts(job: Job) -> str:
    """Returns size, seed, time, and price of the job on top."""
    words = [f"{job.spec.width} x {job.spec.height}", tr("seed {seed}", seed=job.spec.seed)]
    if (took := time_beside_estimate(job)) is not None:
        words.append(took)
    elif job.timings is not None:
        words.append(duration(job.timings.total_s))
    words.append(cost_beside_estimate(job).replace("$", "\\$"))
    return " · ".join(words)


def _nothing_yet() -> None:
    with st.container(key="nothing_yet", border=True, horizontal_alignment="center", gap="small"):
        st.markdown("### :material/draw:", text_alignment="center")
        st.markdown(tr("**Your pictures will appear here.**"), text_alignment="center")
        st.caption(tr("Describe something on the left, or start with one of these."), text_alignment="center")
        with st.container(horizontal=True, horizontal_alignment="center"):
            for example in EXAMPLES:
                st.button(
                    example,
                    key=f"example_{example}",
                    on_click=_use_example,
                    args=(example,),
                    type="secondary",
                )


EXAMPLES = ("a red apple", "a rocket", "a grinning cat")


def _use_example(prompt: str) -> None:
    st.session_state["g_prompt"] = prompt
    form.remember()
