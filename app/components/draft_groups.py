"""Drafts in the feed, to pick from and to finish; and what was finished, beside its draft."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st

from app.components.draft_picker import draft_picker
from app.components.error_banner import show_error
from app.components.following import follow, forget_feed, watch
from app.components.picture_grid import GridAction, picture_grid
from app.components.press import partly_sent_words, send
from app.wording import about, dollars, duration, plural
from services import keys
from services.build import Studio
from services.drafts import draft_number
from services.errors import StudioError
from services.records import Image, Job, User

PICKS = "picks"
ROUND = "picks_round"


def draft_group(
    studio: Studio, user: User, jobs: Mapping[str, Job], images: Sequence[Image], finished: set[str]
) -> GridAction | None:
    """The drafts of one press with the button that finishes those picked; answers with a picture to look at.

    What is picked stands in the address. `jobs` are the drafts' jobs by id, `finished` the drafts drawn in full.
    """
    first = jobs[images[0].job_id]
    group = first.draft.group if first.draft else first.id
    shown = {image.id for image in images}
    before = [one for one in st.query_params.get(PICKS, "").split(",") if one in shown]
    st.caption(_group_words(first, len(images)))
    picked, look = draft_picker(
        studio,
        images,
        picked=before,
        finished=finished,
        key=f"drafts_{group}_{st.session_state.get(ROUND, 0)}",
    )
    if list(picked) != before:
        _remember(picked)
    if look is not None:
        return GridAction("open", (look,))
    if picked:
        _finish(studio, user, picked, group)
    else:
        st.caption("Pick those that are worth finishing: only their seeds are drawn in full.")
    return None


def _group_words(job: Job, count: int) -> str:
    words = "{drafts}, {few} each · finished with {many}"
    return words.format(
        drafts=plural(count, "draft"),
        few=plural(job.spec.steps, "step"),
        many=plural(job.draft.steps if job.draft else 0, "step"),
    )


def _finish(studio: Studio, user: User, picked: tuple[str, ...], group: str) -> None:
    try:
        estimate = studio.drafts.estimate(user, picked)
    except StudioError as error:
        show_error(error)
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        pressed = st.button(
            f"Finish {len(picked)} at full quality",
            icon=":material/auto_awesome:",
            type="primary",
            key=f"finish_{group}",
        )
        price = f"{about(dollars(estimate.cost_usd))} · {about(duration(estimate.total_s))}"
        st.caption(price.capitalize().replace("$", "\\$"), width="content")
        st.space("stretch")
        if st.button("Clear", type="tertiary", key=f"unpick_{group}"):
            _let_go()
            st.rerun()
    if not pressed:
        return
    try:
        requests = studio.drafts.finals(user, picked)
    except StudioError as error:
        show_error(error)
        return
    sent = send(studio, user, requests, place="finish_attempt")
    if sent.batch.refused is not None:
        if not sent.batch.sent:
            show_error(sent.batch.refused.error)
            return
        words = partly_sent_words(sent, sent.batch.refused.error, len(requests), button="Finish")
        st.warning(words, icon=":material/speed:")
        watch(sent.batch.sent)
        return
    watch(sent.batch.sent[1:])
    follow(sent.batch.sent[0])
    _let_go()
    forget_feed()
    st.rerun()


def _remember(picked: Sequence[str]) -> None:
    if picked:
        st.query_params[PICKS] = ",".join(picked)
    else:
        st.query_params.pop(PICKS, None)


def _let_go() -> None:
    """Forgets what is picked, here and in the browser."""
    st.query_params.pop(PICKS, None)
    st.session_state[ROUND] = st.session_state.get(ROUND, 0) + 1


def draft_of(final: Job, draft: Job | None, n: int) -> str | None:
    """The id of the draft that the final's n-th picture was drawn from; None when its job is gone."""
    return None if draft is None else keys.image_id(draft.id, draft_number(final, draft, n))


def beside_drafts(
    studio: Studio, final: Job, images: Sequence[Image], drafts: Mapping[int, Image]
) -> GridAction | None:
    """The finished pictures, each beside its draft (by number of the picture) where that is still there."""
    action = None
    for image in images:
        pair = [drafts[image.n], image] if image.n in drafts else [image]
        words = "Draft, then full quality with {steps}" if len(pair) == 2 else "Full quality with {steps}"
        with st.container(key=f"pair_{image.id}", gap="xsmall"):
            st.caption(words.format(steps=plural(final.spec.steps, "step")) + f" · seed {image.seed}")
            action = picture_grid(studio, pair, key=f"pair_grid_{image.id}", look="tiles") or action
    return action
