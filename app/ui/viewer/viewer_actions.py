"""The viewer's one-click actions: star, download, delete, and use the settings."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from app.i18n.texts import tr
from app.i18n.wording import DRAWN_OVER
from app.state import feed
from app.state import form_values as form
from app.state.signed_links import link
from app.ui.common.error_banner import show_error
from app.ui.common.undo import delete, tell_left_out
from services.build import Studio
from services.errors import StudioError
from services.records import Image, Job, Task, User


def picture_buttons(studio: Studio, user: User, image: Image) -> bool:
    """Draws star, download, and delete; returns True if the picture was just deleted."""
    starred = image.favorite
    with st.container(horizontal=True, gap="small"):
        st.button(
            tr("Starred") if starred else tr("Star"),
            icon=":material/kid_star:" if starred else ":material/star:",
            type="primary" if starred else "secondary",
            shortcut="S",
            key="viewer_star",
            on_click=star_or_tell,
            args=(studio, user, image.id, not starred),
        )
        st.link_button(
            tr("Download"), link(studio, image, "download"), icon=":material/download:", key="viewer_download"
        )
        deleted = st.button(tr("Delete"), icon=":material/delete:", shortcut="Delete", key="viewer_delete")
    if deleted:
        delete(studio, user, [image.id])
    if (error := st.session_state.pop("viewer_error", None)) is not None:
        show_error(error)
    return deleted


def recall_buttons(studio: Studio, job: Job, image: Image) -> bool:
    """Draws the buttons that fill the form with this picture's settings; returns True if it was just filled."""
    drawn_over = job.spec.task is not Task.TEXT_TO_IMAGE
    use_all = st.button(
        tr("Use all"),
        icon=":material/replay:",
        key="viewer_all",
        help=tr(DRAWN_OVER) if drawn_over else tr("Settings and seed"),
    )
    remix = st.button(
        tr("Remix"), icon=":material/shuffle:", key="viewer_remix", help=tr("All settings except the seed")
    )
    if not (use_all or remix):
        return False
    try:
        card = studio.catalogue.card(job.spec.model)
    except StudioError as error:
        show_error(error)
        return False
    # One picture with this picture's own seed reproduces it, whatever its position in the job.
    spec = job.spec.model_copy(update={"seed": image.seed, "count": 1}) if use_all else job.spec
    form.recall(spec, card, seed=use_all, job_id=job.id)
    return True


def star_or_tell(studio: Studio, user: User, image_id: str, favorite: bool) -> None:
    """Shows the error of a callback, which runs before anything is drawn."""
    try:
        star(studio, user, [image_id], favorite)
    except StudioError as error:
        st.session_state["viewer_error"] = error


def star(studio: Studio, user: User, ids: Sequence[str], favorite: bool) -> None:
    """Marks or unmarks favorites, reports those that failed, and makes the Create page read its pictures again."""
    tell_left_out(studio.marks.star_many(user, ids, favorite))
    feed.invalidate()
