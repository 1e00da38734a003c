"""Drafts in the feed: grouped by prompt, to pick and finish; finished pictures appear next to their drafts."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import streamlit as st

from app.i18n.texts import mark, tr, tr_n
from app.i18n.wording import about, dollars, drafts, duration, sentence_case, steps
from app.state import feed
from app.state.watched_jobs import follow, watch
from app.ui.common.error_banner import show_error
from app.ui.create.submit_panel import Sent, partly_sent_words
from app.ui.feed.draft_batches import by_prompt, is_draft, one_each, press_of, prompts_of, standing_of
from app.ui.feed.draft_picker import draft_picker
from app.ui.gallery.picture_grid import GridAction, picture_grid
from services.build import Studio
from services.errors import LimitReached, StudioError
from services.jobs.drafts import Finish, draft_number, is_missing
from services.records import Image, Job, User
from services.store import keys

PICKS = "picks"
ROUND = "picks_round"
# How many picks were sent to be finished, and why not all; shown while the same drafts are picked.
PARTLY = "partly_finished"
# The most ids kept in the URL: more than one group can have.
MOST_PICKS = 60


def draft_title(press: Sequence[Job]) -> bool:
    """Draws the heading above drafts of several prompts; returns False, and draws nothing, for a single prompt."""
    prompts = len(prompts_of(press))
    if prompts > 1:
        st.markdown(tr("**Drafts of {count} prompts**", count=prompts))
    return prompts > 1


def draft_group(
    studio: Studio,
    user: User,
    jobs: Mapping[str, Job],
    images: Sequence[Image],
    finished: set[str],
    open_ids: Collection[str],
) -> GridAction | None:
    """Draws the drafts of one group and the button that finishes the picked ones; returns a picture to view.

    The picks are in the URL. `jobs` are the feed's jobs by id, `finished` the drafts drawn at full quality,
    `open_ids` the jobs that are still being drawn.
    """
    press = press_of(jobs, images[0].job_id)
    group = press[0].draft.group if press[0].draft else press[0].id
    shown = {image.id for image in images}
    address = _picks()
    before = [one for one in address if one in shown]
    elsewhere = [one for one in address if one not in shown and is_draft(one, jobs)]
    st.caption(_group_words(press[0], len(images)))
    standing = standing_of(press)
    picked, look = draft_picker(
        studio,
        by_prompt(standing, images, open_ids),
        picked=before,
        finished=finished,
        narrow=one_each(standing),
        key=f"drafts_{group}_{st.session_state.get(ROUND, 0)}",
    )
    if list(picked) != before or len(before) + len(elsewhere) < len(address):
        _remember([*elsewhere, *picked])
    if look is not None:
        return GridAction("open", (look,))
    if missing := [job for job in standing if is_missing(job)]:
        _missing(studio, user, missing, group)
    if picked:
        _finish(studio, user, picked, group)
    else:
        st.caption(tr("Pick the drafts you like; only those are rendered at full quality."))
    return None


def _missing(studio: Studio, user: User, missing: Sequence[Job], group: str) -> None:
    """Draws the button, with its price, that retries the failed drafts."""
    count = sum(job.spec.count for job in missing)
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"missing_{group}"):
        pressed = st.button(
            tr_n("Draw the {count} missing draft again", "Draw the {count} missing drafts again", count),
            icon=":material/refresh:",
            key=f"again_{group}",
        )
        try:
            price = about(dollars(studio.drafts.price(missing).cost_usd))
        except StudioError as error:
            show_error(error)
            return
        st.caption(sentence_case(price).replace("$", "\\$"), width="content")
    if not pressed:
        return
    try:
        batch = studio.drafts.again(user, missing)
    except StudioError as error:
        show_error(error)
        return
    if batch.sent:
        watch(batch.sent)
        feed.invalidate()
    if batch.refused is None:
        st.rerun()
    show_error(batch.refused.error)


def _group_words(job: Job, count: int) -> str:
    return tr(
        "{drafts}, {few} each · finished with {many}",
        drafts=drafts(count),
        few=steps(job.spec.steps),
        many=steps(job.draft.steps if job.draft else 0),
    )


def _finish(studio: Studio, user: User, picked: tuple[str, ...], group: str) -> None:
    try:
        finish = studio.drafts.look(user, picked)
    except StudioError as error:
        show_error(error)
        return
    # Stays in view, however many drafts there are (atelier.css).
    with st.container(key=f"finish_bar_{group}", gap="xsmall"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small", wrap=False):
            pressed = st.button(
                tr("Finish {count} at full quality", count=finish.count)
                if finish.count
                else tr("Show the finished pictures"),
                icon=":material/auto_awesome:",
                type="primary",
                key=f"finish_{group}",
            )
            st.space("stretch")
            if st.button(tr("Clear"), type="tertiary", key=f"unpick_{group}"):
                _let_go(picked)
                st.rerun()
        st.caption(_finish_words(finish, len(picked)))
    told, words = st.session_state.get(PARTLY, ((), ""))
    if told == picked:
        st.warning(words, icon=":material/speed:")
    if pressed:
        _send(studio, user, picked)


def _finish_words(finish: Finish, picked: int) -> str:
    """Returns price and time, and how many picked drafts are already paid for, as a Markdown label."""
    if finish.estimate is None:
        return tr("All of these are already finished or being drawn. You are not charged again.")
    words = [
        sentence_case(about(dollars(finish.estimate.cost_usd))),
        about(duration(finish.estimate.total_s)),
    ]
    if there := picked - finish.count:
        words.append(tr("{count} more already finished or being drawn", count=there))
    return " · ".join(words).replace("$", "\\$")


def _send(studio: Studio, user: User, picked: tuple[str, ...]) -> None:
    """Submits the picked drafts to be finished and watches them; drafts that could not be sent stay picked."""
    try:
        batch, there = studio.drafts.finish(user, picked)
    except StudioError as error:
        show_error(error)
        return
    if batch.refused is not None and not batch.sent:
        show_error(batch.refused.error)
        return
    jobs = [*batch.sent, *there]
    st.session_state["shown_again"] = [job.id for job in there if job.status.terminal]
    watch(jobs[1:])
    follow(jobs[0])
    if batch.refused is not None:
        why = batch.refused.error
        sent = Sent(batch, goes_on=why.retryable or isinstance(why, LimitReached))
        st.session_state[PARTLY] = (picked, partly_sent_words(sent, why, batch.asked, button=tr("Finish")))
    else:
        _let_go(picked)
    feed.invalidate()
    st.rerun()


def _picks() -> list[str]:
    """Returns the picked ids from the URL: well-formed, unique, and limited in number."""
    raw = st.query_params.get(PICKS, "").split(",")
    return list(dict.fromkeys(one for one in raw if keys.split_image_id(one)))[:MOST_PICKS]


def _remember(picked: Sequence[str]) -> None:
    if picked:
        st.query_params[PICKS] = ",".join(picked[:MOST_PICKS])
    else:
        st.query_params.pop(PICKS, None)


def _let_go(picked: Collection[str]) -> None:
    """Clears the picks of one group, here and in the browser; other groups keep theirs."""
    _remember([one for one in _picks() if one not in picked])
    st.session_state[ROUND] = st.session_state.get(ROUND, 0) + 1
    st.session_state.pop(PARTLY, None)


def draft_of(final: Job, draft: Job | None, n: int) -> str | None:
    """The id of the draft that the final's n-th picture was drawn from; None when its job is gone."""
    return None if draft is None else keys.image_id(draft.id, draft_number(final, draft, n))


def beside_drafts(
    studio: Studio, final: Job, images: Sequence[Image], drafts: Mapping[int, Image]
) -> GridAction | None:
    """Draws finished pictures next to their drafts (by picture number) if those exist; returns the grid action."""
    action = None
    for image in images:
        pair = [drafts[image.n], image] if image.n in drafts else [image]
        both = mark("Draft, then full quality with {steps}")
        words = both if len(pair) == 2 else mark("Full quality with {steps}")
        with st.container(key=f"pair_{image.id}", gap="xsmall"):
            st.caption(f"{tr(words, steps=steps(final.spec.steps))} · {tr('seed {seed}', seed=image.seed)}")
            action = picture_grid(studio, pair, key=f"pair_grid_{image.id}", look="tiles") or action
    return action
