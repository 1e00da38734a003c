"""The source picture part of the form: its origin, its fit, its strength, and its mask."""

from __future__ import annotations

import math
import time
from dataclasses import replace

import streamlit as st

from app.i18n.texts import mark, tr, tr_sentence
from app.state import form_values as form
from app.state import source_choice
from app.state.signed_links import RENEW_AFTER_S
from app.state.source_choice import Chosen
from app.state.widget_values import show_value
from app.streamlit_internals.uploads import ENDINGS, taken, uploader_key
from app.ui.common.plain_text import as_label
from app.ui.create.field_errors import FieldErrors
from app.ui.create.mask_painter import mask_painter
from services.build import Studio
from services.catalogue.cards import MIN_STRENGTH, ModelCard
from services.errors import NotFound, StudioError
from services.formats.image_header import MAX_FILE_BYTES
from services.jobs.sources import SourcePicture
from services.recipes.fit_to_model import nearest_size
from services.records import Fit, Source, User, steps_over
from services.store import keys

FILE, MASK_FILE = "source_file", "mask_file"
# The cached source picture, the bytes of its mask, and why the last file of either was refused.
LOOK, MASK, PROBLEM, MASK_PROBLEM = "source_look", "source_mask", "source_problem", "mask_problem"
BOX = "source_box"
SAME_SHAPE = 0.01
FIT_WORDS = {Fit.CROP.value: mark("Crop to fit"), Fit.PAD.value: mark("Add bars")}
NOTHING_PAINTED = mark("Nothing is painted yet. Paint over the part to redraw, or turn the mask off.")


def source_picture(studio: Studio, user: User, card: ModelCard, field_errors: FieldErrors) -> Source | None:
    """Draws the part and returns what the form draws over, None without a picture.

    Reads the chosen picture if this session has not seen it yet or its link is about to expire.
    """
    chosen = source_choice.current()
    if not card.image_to_image:
        return None
    # Open by state: it opens for a picture from another page and can be folded at any time.
    if chosen is not None and chosen.fresh:
        st.session_state[BOX] = True
    with st.expander(
        tr("Start from a picture"), icon=":material/add_photo_alternate:", key=BOX, on_change="rerun"
    ):
        picture = _look(studio, user, chosen) if chosen else None
        if (problem := st.session_state.pop(PROBLEM, None)) is not None:
            st.markdown(f":red[:material/error: {as_label(tr_sentence(problem), 400)}]")
        chosen = source_choice.current()
        if chosen is None:
            _uploader(studio, user)
            return None
        if picture is None:
            # The picture cannot be read right now; drawing without it would be worse than an error.
            return _effective(chosen, card)
        if chosen.fresh:
            chosen = _seen(chosen, picture, card)
        chosen = _picture(studio, user, card, chosen, picture)
        _controls(studio, user, card, chosen, picture, field_errors)
    return _effective(chosen, card)


def lacks_mask(card: ModelCard) -> bool:
    """Whether a mask is wanted but nothing is painted yet."""
    chosen: Chosen | None = st.session_state.get(source_choice.CHOSEN)
    return (
        chosen is not None
        and card.image_to_image
        and card.inpainting
        and chosen.painting
        and chosen.source.mask is None
    )


def _effective(chosen: Chosen, card: ModelCard) -> Source:
    masked = chosen.painting and card.inpainting
    return chosen.source if masked else chosen.source.model_copy(update={"mask": None})


def _look(studio: Studio, user: User, chosen: Chosen) -> SourcePicture | None:
    """Returns the chosen picture with a temporary link; shows a message and returns None if it was deleted."""
    known = st.session_state.get(LOOK)
    if known and known[0].id == chosen.source.id and time.monotonic() - known[1] < RENEW_AFTER_S:
        found: SourcePicture = known[0]
        return found
    try:
        picture = studio.sources.look(user, chosen.source.id)
    except NotFound as error:
        st.session_state[PROBLEM] = error.message
        source_choice.put(None)
        return None
    except StudioError as error:
        st.session_state[PROBLEM] = error.message
        return None
    st.session_state[LOOK] = (picture, time.monotonic())
    return picture


def _seen(chosen: Chosen, picture: SourcePicture, card: ModelCard) -> Chosen:
    """Returns the choice as seen; sets the form to the picture's size if the model supports it."""
    size = (picture.width, picture.height)
    if keys.split_upload_id(picture.id) is None and nearest_size(*size, card) == size:
        form.set_size(card, size)
    seen = replace(chosen, fresh=False)
    source_choice.put(seen)
    return seen


def _uploader(studio: Studio, user: User) -> None:
    st.file_uploader(
        tr("A PNG, JPEG or WebP picture"),
        type=ENDINGS,
        key=uploader_key(FILE),
        max_upload_size=MAX_FILE_BYTES // 1024 // 1024,
        on_change=_take,
        args=(studio, user),
    )
    st.caption(
        tr(
            "Or open one of your pictures and choose “Draw over”. Uploads are kept for 30 days, without "
            "camera metadata."
        )
    )


def _take(studio: Studio, user: User) -> None:
    """Stores the uploaded file and releases its bytes."""
    with taken(FILE) as file:
        if file is None:
            return
        try:
            source_choice.choose(studio.sources.keep(user, file).id)
        except StudioError as error:
            # Keep only the message: the error's traceback would keep the file's bytes in memory.
            st.session_state[PROBLEM] = error.message


def _take_mask(studio: Studio, user: User, chosen: Chosen, picture: SourcePicture) -> None:
    with taken(MASK_FILE) as file:
        if file is None:
            return
        try:
            mask = studio.sources.keep_mask(user, picture, file)
        except StudioError as error:
            st.session_state[MASK_PROBLEM] = error.message
        else:
            source_choice.change(chosen, mask=mask, reload=True)


def _picture(studio: Studio, user: User, card: ModelCard, chosen: Chosen, picture: SourcePicture) -> Chosen:
    """Draws the fitted picture with the mask; returns the choice with the latest painting."""
    paint = chosen.painting and card.inpainting
    mask = None
    if paint and chosen.source.mask is not None:
        try:
            mask = _mask(studio, user, chosen.source.mask)
        except StudioError as error:
            st.markdown(f":red[:material/error: {as_label(tr_sentence(error.message), 400)}]")
            if isinstance(error, NotFound):
                chosen = source_choice.change(chosen, mask=None)
    painted = mask_painter(
        picture,
        wanted=form.size(card),
        fit=chosen.source.fit,
        paint=paint,
        mask=mask,
        token=chosen.token,
        key=f"painter_{keys.digest(picture.id)[:12]}",
    )
    if (
        not paint
        or painted is None
        or painted == (mask or b"")
        or painted == st.session_state.get("source_painted")
    ):
        return chosen
    st.session_state["source_painted"] = painted
    if not painted:
        return source_choice.change(chosen, mask=None)
    try:
        mask_id = studio.sources.keep_mask(user, picture, painted)
    except StudioError as error:
        st.markdown(f":red[:material/error: {as_label(tr_sentence(error.message), 400)}]")
        st.session_state.pop("source_painted")
        return chosen
    st.session_state[MASK] = (mask_id, painted)
    return source_choice.change(chosen, mask=mask_id)


def _mask(studio: Studio, user: User, mask_id: str) -> bytes:
    """Returns the chosen mask, read once per session. Raises NotFound, Unavailable."""
    known = st.session_state.get(MASK)
    if known and known[0] == mask_id:
        found: bytes = known[1]
        return found
    mask = studio.sources.mask(user, mask_id)
    st.session_state[MASK] = (mask_id, mask)
    return mask


def _controls(
    studio: Studio,
    user: User,
    card: ModelCard,
    chosen: Chosen,
    picture: SourcePicture,
    field_errors: FieldErrors,
) -> None:
    width, height = form.size(card)
    if abs(math.log(picture.width / picture.height / (width / height))) > SAME_SHAPE:
        show_value("source_fit", chosen.source.fit.value)
        st.segmented_control(
            tr(
                "From {width} x {height} to {wanted_width} x {wanted_height}",
                width=picture.width,
                height=picture.height,
                wanted_width=width,
                wanted_height=height,
            ),
            list(FIT_WORDS),
            key="source_fit",
            required=True,
            format_func=lambda fit: tr(FIT_WORDS[fit]),
            on_change=_refit,
            args=(chosen,),
            width="stretch",
        )
        st.caption(_fit_words(chosen))
    field_errors.by_param["image"] = st.empty()
    nearest = nearest_size(picture.width, picture.height, card)
    with st.container(horizontal=True, gap="small", key="source_buttons"):
        if nearest != (width, height):
            st.button(
                tr("Use its size, {width} x {height}", width=nearest[0], height=nearest[1]),
                icon=":material/aspect_ratio:",
                key="source_size",
                on_click=form.set_size,
                args=(card, nearest),
            )
        st.button(
            tr("Remove"),
            icon=":material/close:",
            key="source_remove",
            on_click=source_choice.put,
            args=(None,),
        )
    st.slider(
        tr("Strength"),
        MIN_STRENGTH,
        1.0,
        step=0.01,
        format="localized",
        key="g_strength",
        on_change=form.remember,
    )
    steps = steps_over(st.session_state["g_steps"], st.session_state["g_strength"])
    st.caption(
        tr(
            "A low strength changes only details; a high strength keeps little more than the layout. This "
            "setting draws {steps} of {all_steps} steps.",
            steps=steps,
            all_steps=st.session_state["g_steps"],
        )
    )
    field_errors.by_param["strength"] = st.empty()
    if card.inpainting:
        _part(studio, user, chosen, picture, field_errors)


def _refit(chosen: Chosen) -> None:
    source_choice.change(chosen, fit=Fit(st.session_state["source_fit"]))


def _switch(chosen: Chosen) -> None:
    source_choice.put(replace(chosen, painting=st.session_state["source_part"]))


def _fit_words(chosen: Chosen) -> str:
    if chosen.source.fit is Fit.CROP:
        return tr("The dark area outside the frame is cropped.")
    if chosen.painting:
        return tr("The white bars are redrawn too.")
    return tr("The white bars are part of the source picture.")


def _part(
    studio: Studio, user: User, chosen: Chosen, picture: SourcePicture, field_errors: FieldErrors
) -> None:
    """Draws the mask toggle and the upload for a mask file."""
    show_value("source_part", chosen.painting)
    problem = st.session_state.pop(MASK_PROBLEM, None)
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="source_part_row"):
        st.toggle(
            tr("Paint a mask"),
            key="source_part",
            help=tr("Only the area you paint over is redrawn; the rest does not change."),
            on_change=_switch,
            args=(chosen,),
        )
        if chosen.painting:
            with st.popover(
                tr("From a file"), icon=":material/upload:", type="tertiary", key="mask_file_box"
            ):
                st.file_uploader(
                    tr("A mask: white is redrawn, black is kept"),
                    type=ENDINGS,
                    key=uploader_key(MASK_FILE),
                    max_upload_size=MAX_FILE_BYTES // 1024 // 1024,
                    on_change=_take_mask,
                    args=(studio, user, chosen, picture),
                )
                # Here, because the top of the picture is out of view by now.
                if problem is not None:
                    st.markdown(f":red[:material/error: {as_label(tr_sentence(problem), 400)}]")
    field_errors.by_param["mask"] = st.empty()
    if chosen.painting and chosen.source.mask is None:
        field_errors.by_param["mask"].caption(tr(NOTHING_PAINTED))
