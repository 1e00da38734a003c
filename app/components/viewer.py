"""One picture in a dialog: large, its settings, and everything that can be done with it."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from app.components import form_values as form
from app.components.draw_over import draw_over_button
from app.components.error_banner import show_error
from app.components.job_remarks import show_remarks
from app.components.picture_grid import GridAction
from app.components.picture_marks import label_pictures, rate, show_marks
from app.components.prompt_text import show_text
from app.components.undo import delete, forget_pictures, tell_left_out
from app.links import link
from app.navigation import GENERATE
from app.page_runner import errors_in_words
from app.wording import DRAWN_OVER, TASK_WORDS, cost_words, file_size
from services.build import Studio
from services.errors import NotFound, StudioError
from services.records import Image, Job, Task, User


def act_on(studio: Studio, user: User, action: GridAction, images: Sequence[Image]) -> None:
    """Does what was asked of pictures in a grid: mark, delete, or the dialog to look at one or to label several."""
    if action.kind == "open":
        st.session_state["viewed"] = action.ids[0]
        open_viewer(studio, user, [image.id for image in images])
        return
    if action.kind == "label":
        label_pictures(studio, user, [image for image in images if image.id in action.ids])
        return
    if action.kind == "star":
        star(studio, user, action.ids, action.favourite)
    elif action.kind == "rate":
        rate(studio, user, action.ids, action.rating)
    elif action.kind == "trash":
        delete(studio, user, action.ids)
    st.rerun()


def open_viewer(studio: Studio, user: User, image_ids: Sequence[str]) -> None:
    """The dialog on `st.session_state["viewed"]`; arrows go through `image_ids`."""
    _dialog(studio, user, tuple(image_ids))


def _closed() -> None:
    st.session_state.pop("viewed", None)
    st.query_params.pop("image", None)


@st.dialog("Picture", width="large", on_dismiss=_closed)
def _dialog(studio: Studio, user: User, image_ids: tuple[str, ...]) -> None:
    with errors_in_words():
        show_picture(studio, user, image_ids)


def show_picture(studio: Studio, user: User, image_ids: tuple[str, ...]) -> None:
    """The dialog's content: the picture of `image_ids` that is being viewed, else the first."""
    image_id = st.session_state.get("viewed", image_ids[0])
    try:
        image = studio.images.get(user, image_id)
    except NotFound as error:
        show_error(error)
        return
    st.query_params["image"] = image.id
    picture, side = st.columns([3, 2], gap="medium")
    with picture:
        st.image(link(studio, image, "shown"), width="stretch", alt="The picture")
    with side, st.container(gap="small", key="viewer_side"):
        with st.container(key="viewer_prompt"):
            show_text(image.prompt)
        job = _job(studio, user, image.job_id)
        if job is not None:
            show_remarks(job)
        show_marks(studio, user, image)
        _settings(image, job)
        _actions(studio, user, image)
        if job is not None:
            _recall(studio, job, image)
        draw_over_button(image)
        if len(image_ids) > 1 and image_id in image_ids:
            _neighbours(image_ids, image_id)


def _job(studio: Studio, user: User, job_id: str) -> Job | None:
    """The job's record, read once a session; None when only its pictures are left."""
    known: dict[str, Job | None] = st.session_state.setdefault("viewer_jobs", {})
    if job_id not in known:
        try:
            known[job_id] = studio.jobs.get(user, job_id)
        except NotFound:
            known[job_id] = None
    return known[job_id]


def _settings(image: Image, job: Job | None) -> None:
    rows = {"Size": f"{image.width} x {image.height}, {file_size(image.size_bytes)}", "Seed": str(image.seed)}
    if job is not None:
        spec = job.spec
        rows |= {
            "Model": f"{spec.model} ({spec.model_revision})",
            "Steps": f"{spec.steps}, {spec.scheduler}",
            "Guidance": f"{spec.guidance:g}",
        }
        if spec.strength is not None:
            rows["Kind"] = f"{TASK_WORDS[spec.task]}, strength {spec.strength:g}"
        if job.timings is not None:
            rows["Time"] = f"{job.timings.total_s:.1f} s"
        rows["Price"] = cost_words(job)
    rows["Drawn"] = f"{image.created_at:%d %b %Y, %H:%M} UTC"
    if job is not None and job.spec.negative_prompt:
        st.caption("Not in the picture")
        show_text(job.spec.negative_prompt)
    with st.container(gap=None, key="viewer_settings"):
        for name, value in rows.items():
            with st.container(horizontal=True, gap="small", key=f"viewer_row_{name}"):
                st.caption(name, width=76)
                st.text(value, width="stretch")


def _actions(studio: Studio, user: User, image: Image) -> None:
    starred = image.favourite
    with st.container(horizontal=True, gap="small"):
        st.button(
            "Starred" if starred else "Star",
            icon=":material/kid_star:" if starred else ":material/star:",
            type="primary" if starred else "secondary",
            shortcut="S",
            key="viewer_star",
            on_click=_star_or_tell,
            args=(studio, user, image.id, not starred),
        )
        st.link_button(
            "Download", link(studio, image, "download"), icon=":material/download:", key="viewer_download"
        )
        if st.button("", icon=":material/delete:", shortcut="Delete", key="viewer_delete", help="Delete"):
            delete(studio, user, [image.id])
            _closed()
            st.rerun()
    if (error := st.session_state.pop("viewer_error", None)) is not None:
        show_error(error)


def _star_or_tell(studio: Studio, user: User, image_id: str, favourite: bool) -> None:
    """A callback runs before anything is drawn: its error waits for the place to be shown at."""
    try:
        star(studio, user, [image_id], favourite)
    except StudioError as error:
        st.session_state["viewer_error"] = error


def _recall(studio: Studio, job: Job, image: Image) -> None:
    with st.container(horizontal=True, gap="small"):
        drawn_over = job.spec.task is not Task.TEXT_TO_IMAGE
        use_all = st.button(
            "Use all",
            icon=":material/replay:",
            key="viewer_all",
            help=DRAWN_OVER if drawn_over else "Settings and this seed",
        )
        remix = st.button("Remix", icon=":material/shuffle:", key="viewer_remix", help="All but the seed")
    if not (use_all or remix):
        return
    try:
        card = studio.catalogue.card(job.spec.model)
    except StudioError as error:
        show_error(error)
        return
    # This picture's own seed with one picture draws this one again, whichever of its job it was.
    spec = job.spec.model_copy(update={"seed": image.seed, "count": 1}) if use_all else job.spec
    form.recall(spec, card, seed=use_all, job_id=job.id)
    _closed()
    st.switch_page(GENERATE)


def _neighbours(image_ids: tuple[str, ...], image_id: str) -> None:
    here = image_ids.index(image_id)
    ways = (
        ("viewer_back", ":material/arrow_back:", "Left", here - 1),
        ("viewer_forth", ":material/arrow_forward:", "Right", here + 1),
    )
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        for key, icon, shortcut, target in ways:
            there = 0 <= target < len(image_ids)
            st.button(
                "",
                icon=icon,
                shortcut=shortcut,
                key=key,
                disabled=not there,
                on_click=_view,
                args=(image_ids[target] if there else image_id,),
            )
        st.caption(f"{here + 1} of {len(image_ids)}")


def _view(image_id: str) -> None:
    st.session_state["viewed"] = image_id


def star(studio: Studio, user: User, ids: Sequence[str], favourite: bool) -> None:
    """Marks or unmarks favourites and says which could not be; the pictures of the first page are read anew."""
    tell_left_out(studio.marks.star_many(user, ids, favourite))
    forget_pictures()
