"""The choice of size: the model's usual shapes in both orientations, or a custom size on its grid."""

from __future__ import annotations

import streamlit as st

from app.i18n.texts import mark, tr
from app.state import form_values as form
from app.ui.create.field_errors import FieldErrors
from services.catalogue.cards import ModelCard
from services.catalogue.sizes import turned

# Limits of the drawn box, because a typed size can be anything.
DRAWN_PX = 30
FLATTEST = 4.0
SIDES = {"width": mark("Width, px"), "height": mark("Height, px")}


def size_picker(card: ModelCard, field_errors: FieldErrors) -> None:
    """Draws the choice of a shape, its size in pixels, and the fields of a custom size."""
    st.segmented_control(
        tr("Size"),
        [*form.shapes(card), form.CUSTOM],
        key="g_size",
        required=True,
        format_func=_shape_words,
        on_change=lambda: form.shape_chosen(card),
        width="stretch",
    )
    custom = st.session_state["g_size"] == form.CUSTOM
    # The container exists for every size: if it appeared and vanished, Streamlit would remount what follows.
    with st.container(gap="small"):
        if custom:
            for column, name in zip(st.columns(2), SIDES, strict=True):
                # No bounds: the browser would not send a value outside them, and the service's
                # message would refer to the previous value.
                column.number_input(
                    tr(SIDES[name]),
                    step=card.grid_px,
                    key=f"g_{name}",
                    on_change=form.side_changed,
                    args=(card, name),
                )
    width, height = form.size(card)
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="size_row"):
        st.html(_drawing(width, height), width="content")
        st.caption(tr("{width} x {height} px", width=width, height=height), width="content")
        if custom:
            st.checkbox(tr("Keep the aspect ratio"), key="g_lock", on_change=form.lock_changed)
        st.space("stretch")
        st.button(
            tr("Swap width and height"),
            icon=":material/crop_rotate:",
            type="tertiary",
            key="swap_size",
            on_click=form.swap,
            args=(card,),
            help=tr("Rotate to {shape}", shape=turned(st.session_state["g_size"]))
            if not custom and width != height
            else tr("Rotate"),
        )
    if card.size_hint and (width, height) != (card.default_width, card.default_height):
        st.caption(f":material/info: {tr(card.size_hint)}")
    field_errors.by_param["width"] = field_errors.by_param["height"] = st.empty()


def _shape_words(label: str) -> str:
    """Returns the label of a shape, such as 4:3."""
    return tr(label) if label == form.CUSTOM else label


def _drawing(width: int, height: int) -> str:
    """Returns a small box with the shape's proportions, as Markdown."""
    ratio = min(max(max(width, 1) / max(height, 1), 1 / FLATTEST), FLATTEST)
    across, down = (DRAWN_PX, DRAWN_PX / ratio) if ratio >= 1 else (DRAWN_PX * ratio, DRAWN_PX)
    return (
        f'<div class="shape" aria-hidden="true" style="width:{DRAWN_PX}px;height:{DRAWN_PX}px">'
        f'<div style="width:{across:.0f}px;height:{down:.0f}px"></div></div>'
    )
