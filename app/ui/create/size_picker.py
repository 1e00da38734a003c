"""The size of the pictures: the usual shapes that the model can draw, either way round, or any size of its grid."""

from __future__ import annotations

import streamlit as st

from app.i18n.texts import mark, tr
from app.state import form_values as form
from app.ui.create.field_errors import FieldErrors
from services.catalogue.cards import ModelCard
from services.catalogue.sizes import turned

# The drawing of the shape; a size that is typed in may be anything.
DRAWN_PX = 30
FLATTEST = 4.0
SIDES = {"width": mark("Width, px"), "height": mark("Height, px")}


def size_picker(card: ModelCard, field_errors: FieldErrors) -> None:
    """Draws the choice of a shape, what it is in pixels, and the sides of a custom size."""
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
    # The place is there for every size: what follows would be drawn anew, and fold up, if it moved.
    with st.container(gap="small"):
        if custom:
            for column, name in zip(st.columns(2), SIDES, strict=True):
                # Without bounds: the browser would keep a value outside them to itself, and the service's
                # message would be about the value before.
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
    """A shape says itself, as 4:3."""
    return tr(label) if label == form.CUSTOM else label


def _drawing(width: int, height: int) -> str:
    """A small box of the shape."""
    ratio = min(max(max(width, 1) / max(height, 1), 1 / FLATTEST), FLATTEST)
    across, down = (DRAWN_PX, DRAWN_PX / ratio) if ratio >= 1 else (DRAWN_PX * ratio, DRAWN_PX)
    return (
        f'<div class="shape" aria-hidden="true" style="width:{DRAWN_PX}px;height:{DRAWN_PX}px">'
        f'<div style="width:{across:.0f}px;height:{down:.0f}px"></div></div>'
    )
