"""The viewer dialog: one large picture with its settings and actions, or two pictures compared."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from app.i18n.texts import tr
from app.navigation import GENERATE
from app.ui.common import picture_facts as facts
from app.ui.common.copy_list import Text, copy_list
from app.ui.common.error_banner import show_error
from app.ui.common.error_boundary import error_boundary
from app.ui.common.job_remarks import show_remarks
from app.ui.common.prompt_text import show_text
from app.ui.common.undo import delete
from app.ui.gallery.picture_grid import GridAction
from app.ui.gallery.picture_marks import label_pictures, rate, show_marks
from app.ui.viewer import compare as comparison
from app.ui.viewer.draw_over import draw_over_button
from app.ui.viewer.viewer_actions import picture_buttons, recall_buttons, star, star_or_tell
from app.ui.viewer.viewer_panels import REOPEN, forget_panels, panel_buttons, show_panel
from app.ui.viewer.zoom import asked, zoom
from services.build import Studio
from services.errors import NotFound
from services.records import Image, Job, User

# The two compared pictures, in the session and in the URL.
COMPARED, COMPARE = "compared", "compare"
# The pictures the arrows move through, kept for when a full rerun reopens the dialog.
IDS = "viewer_ids"


def act_on(studio: Studio, user: User, action: GridAction, images: Sequence[Image]) -> None:
    """Performs a grid action: marks or deletes pictures, or opens the viewer or the dialog to label several."""
    ids = [image.id for image in images]
    if action.kind == "open":
        st.session_state["viewed"] = action.ids[0]
        open_viewer(studio, user, ids)
        return
    if action.kind == "compare":
        st.session_state[COMPARED] = (action.ids[0], action.ids[1])
        open_viewer(studio, user, ids)
        return
    if action.kind == "label":
        label_pictures(studio, user, [image for image in images if image.id in action.ids])
        return
    if action.kind == "star":
        star(studio, user, action.ids, action.favorite)
    elif action.kind == "rate":
        rate(studio, user, action.ids, action.rating)
    elif action.kind == "trash":
        delete(studio, user, action.ids)
    st.rerun()


def open_linked(studio: Studio, user: User, image_ids: Sequence[str]) -> None:
    """On the first run of a page, opens what the URL names: one picture, or two to compare.

    Also reopens the viewer for a panel. Another user's picture looks like one that does not exist.
    """
    if st.session_state.pop(REOPEN, False) and (ids := st.session_state.get(IDS)):
        open_viewer(studio, user, ids)
        return
    if "viewed" in st.session_state or COMPARED in st.session_state:
        return
    linked, pair = st.query_params.get("image"), st.query_params.get(COMPARE, "").split(",")
    wanted = [linked] if linked else pair if len(pair) == 2 else []
    try:
        found = [studio.images.get(user, image_id).id for image_id in wanted]
    except NotFound:
        st.query_params.pop("image", None)
        st.query_params.pop(COMPARE, None)
        st.warning(tr("There is no such picture."), icon=":material/info:")
        return
    if len(found) == 2:
        st.session_state[COMPARED] = (found[0], found[1])
    elif found:
        st.session_state["viewed"] = found[0]
    if found:
        open_viewer(studio, user, image_ids or found)


def open_viewer(studio: Studio, user: User, image_ids: Sequence[str]) -> None:
    """Opens the dialog on `st.session_state["viewed"]`; the arrows move through `image_ids`."""
    st.session_state[IDS] = tuple(image_ids)
    st.dialog(tr("Picture"), width="large", on_dismiss=closed)(_dialog)(studio, user, tuple(image_ids))


def closed() -> None:
    """Clears the viewed picture in the session and in the URL."""
    for key in ("viewed", COMPARED, IDS):
        st.session_state.pop(key, None)
    for name in ("image", COMPARE):
        st.query_params.pop(name, None)
    forget_panels()


def _dialog(studio: Studio, user: User, image_ids: tuple[str, ...]) -> None:
    with error_boundary(), st.container(key="viewer"):
        if COMPARED in st.session_state:
            show_comparison(studio, user)
        else:
            show_picture(studio, user, image_ids)


def show_picture(studio: Studio, user: User, image_ids: tuple[str, ...]) -> None:
    """Draws the dialog: the viewed picture of `image_ids`, or the first."""
    image_id = st.session_state.get("viewed", image_ids[0])
    try:
        image = studio.images.get(user, image_id)
    except NotFound as error:
        show_error(error)
        return
    st.query_params["image"] = image.id
    job = _job(studio, user, image.job_id)
    picture, side = st.columns([8, 5], gap="medium")
    with picture:
        zoom(
            studio,
            image,
            image_ids,
            _ahead(image_ids, image_id),
            lambda: _act(studio, user, image, image_ids),
        )
    with side, st.container(gap="small", key="viewer_side"):
        with st.container(key="viewer_prompt"):
            show_text(image.prompt)
        if job is not None:
            show_remarks(job)
        show_marks(studio, user, image)
        if picture_buttons(studio, user, image):
            closed()
            st.rerun()
        with st.container(horizontal=True, gap="small", key="viewer_buttons"):
            recalled = job is not None and recall_buttons(studio, job, image)
            draw_over_button(image)
            if job is not None:
                panel_buttons()
        if recalled:
            closed()
            st.switch_page(GENERATE)
        if job is not None:
            if (started := show_panel(studio, user, image, job, image_ids, compare_with)) is not None:
                closed()
                st.switch_page(GENERATE, query_params={"job": started.id})
            _show_source(studio, user, job)
        _show_facts(image, job)


def _act(studio: Studio, user: User, image: Image, image_ids: tuple[str, ...]) -> None:
    """Performs what a key or button on the picture requested; a callback, so it runs before the dialog is redrawn."""
    action = asked()
    if action is None:
        return
    if action.kind == "star":
        star_or_tell(studio, user, image.id, not image.favorite)
    elif image.id in image_ids:
        there = image_ids.index(image.id) + action.by
        if 0 <= there < len(image_ids):
            st.session_state["viewed"] = image_ids[there]


def _ahead(image_ids: tuple[str, ...], image_id: str) -> list[str]:
    """Returns the ids of the next and previous pictures."""
    if image_id not in image_ids:
        return []
    here = image_ids.index(image_id)
    return [image_ids[there] for there in (here + 1, here - 1) if 0 <= there < len(image_ids)]


def _job(studio: Studio, user: User, job_id: str) -> Job | None:
    """Returns the job's record, read once per session; None if only its pictures are left."""
    known: dict[str, Job | None] = st.session_state.setdefault("viewer_jobs", {})
    if job_id not in known:
        try:
            known[job_id] = studio.jobs.get(user, job_id)
        except NotFound:
            known[job_id] = None
    return known[job_id]


def _show_source(studio: Studio, user: User, job: Job) -> None:
    """Draws the source picture if it is still stored."""
    if job.spec.image_sha256 is None:
        return
    try:
        source = studio.sources.look(user, job.id)
    except NotFound:
        st.caption(tr("The source picture is no longer stored."))
        return
    st.caption(tr("Source picture"))
    st.image(source.url, width=120, alt=tr("Source picture"))


def _show_facts(image: Image, job: Job | None) -> None:
    """Draws all facts about how the picture was made, with copy buttons."""
    texts = [Text(tr("Prompt"), tr("Copy the prompt"), image.prompt)]
    if job is not None:
        texts.append(Text(tr("Parameters"), tr("Copy all"), facts.parameters_text(image, job)))
        if job.spec.negative_prompt:
            st.caption(tr("Not in the picture"))
            show_text(job.spec.negative_prompt)
    rows = facts.settings(image, job) | facts.origin(job) | facts.account(image, job)
    copy_list(rows, texts, key="viewer_facts")


def show_comparison(studio: Studio, user: User) -> None:
    """Draws the dialog while two pictures are compared."""
    first, second = st.session_state[COMPARED]
    try:
        pair = studio.images.get(user, first), studio.images.get(user, second)
    except NotFound as error:
        show_error(error)
        return
    st.query_params.pop("image", None)
    st.query_params[COMPARE] = f"{first},{second}"
    with st.container(horizontal=True, horizontal_alignment="center", gap="small", key="compare_buttons"):
        st.button(
            tr("Open left"),
            icon=":material/open_in_new:",
            key="compare_left",
            on_click=view,
            args=(first,),
        )
        st.button(
            tr("Swap"),
            icon=":material/swap_horiz:",
            key="compare_swap",
            on_click=compare_with,
            args=(second, first),
        )
        st.button(
            tr("Open right"),
            icon=":material/open_in_new:",
            key="compare_right",
            on_click=view,
            args=(second,),
        )
    known = tuple(facts.compared(image, _job(studio, user, image.job_id)) for image in pair)
    comparison.compare(studio, pair, (known[0], known[1]))


def compare_with(first: str, second: str) -> None:
    """Makes the dialog compare two pictures."""
    st.session_state[COMPARED] = (first, second)


def view(image_id: str) -> None:
    """Makes the dialog show one picture."""
    st.session_state.pop(COMPARED, None)
    st.query_params.pop(COMPARE, None)
    st.session_state["viewed"] = image_id
