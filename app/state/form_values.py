"""What the generate form holds: its defaults, its memory across pages, its meaning as a request."""

from __future__ import annotations

import secrets
from time import monotonic
from typing import Any

import streamlit as st

from app.i18n.texts import mark
from app.state import source_choice
from app.state.preferences import kept_preferences
from services.catalogue.cards import DEFAULT_STRENGTH, MAX_SEED, ModelCard
from services.prompts.syntax import escape
from services.records import JobRequest, JobSpec, Source

CUSTOM = mark("Custom")
KEYS = (
    "g_model", "g_prompt", "g_negative", "g_size", "g_width", "g_height", "g_upright", "g_lock", "g_quality", "g_steps",
    "g_guidance", "g_scheduler", "g_seed", "g_count", "g_template", "g_strength",
)  # fmt: skip
# Streamlit forgets the value of a widget that another page does not draw; the form is remembered here.
MEMORY = "form"
# Set while the memory is to be put over what the widgets say.
RECALLED = "form_recalled"
# When a run of the page drew the whole form last, by the monotonic clock.
DRAWN = "form_drawn"
# A run that begins sooner after it may have thrown away what was not yet sent: Streamlit empties its queue.
SENT_AFTER_S = 0.5
TEXTS = ("g_prompt", "g_negative")
# Opens when it is filled from outside.
NEGATIVE_BOX = "negative_box"
# Width and height that a custom size keeps the shape of.
LOCKED = "locked_shape"
NEVER_EMPTY = ("g_size", "g_quality", "g_count")


def defaults(card: ModelCard) -> dict[str, Any]:
    """The form's values for a model nobody has changed anything of: as its user prefers, else as the model does."""
    wanted = kept_preferences()
    quality = wanted.quality if wanted.quality in card.qualities else card.default_quality
    return {
        "g_model": card.id,
        "g_prompt": "",
        "g_negative": "",
        "g_size": card.sizes[0].label,
        "g_width": card.default_width,
        "g_height": card.default_height,
        "g_upright": card.default_height > card.default_width,
        "g_lock": False,
        "g_quality": quality,
        "g_steps": card.qualities[quality],
        "g_guidance": float(card.default_guidance),
        "g_scheduler": card.default_scheduler,
        "g_seed": None,
        "g_count": min(wanted.count, card.max_count),
        "g_template": "",
        "g_strength": DEFAULT_STRENGTH,
    }


def restore(card: ModelCard) -> None:
    """Puts the remembered or default value in place of each widget that has none in this run, before it is drawn.

    Every one is put in place again when the run before did not come as far as drawing the form, or only just:
    its values are in the session, but may never have reached the browser. The texts are left to `initial`, unless
    they were recalled or known here: a browser that comes back after the server went away still knows what was
    typed, and a value set here would overwrite it.
    """
    memory = st.session_state.setdefault(MEMORY, {})
    recalled = st.session_state.pop(RECALLED, False)
    if recalled and memory.get("g_negative"):
        st.session_state[NEGATIVE_BOX] = True
    drawn_at = st.session_state.pop(DRAWN, None)
    drawn = drawn_at is not None
    shown = drawn_at is not None and monotonic() - drawn_at >= SENT_AFTER_S and not _unknown_to_browser()
    for key, value in defaults(card).items():
        known = key in st.session_state
        if key in TEXTS:
            if recalled:
                st.session_state[key] = memory.get(key, value)
            elif known and not drawn:
                st.session_state[key] = memory.get(key) or st.session_state[key]
        elif recalled or not shown or not known or (st.session_state[key] is None and value is not None):
            st.session_state[key] = memory.get(key, value)


def initial(key: str) -> str:
    """What a text widget begins with that this session has not drawn yet; nothing for one that it has."""
    return "" if key in st.session_state else str(st.session_state[MEMORY].get(key, ""))


def remember() -> None:
    """Keeps the values for when this page is drawn again; on every change, as the run after it may be cut short."""
    # Of a form that the browser has only begun to draw, it sends the texts and nothing that was meant.
    keys = TEXTS if _unknown_to_browser() else KEYS
    now = {key: st.session_state[key] for key in keys if key in st.session_state}
    st.session_state[MEMORY] = st.session_state.get(MEMORY, {}) | now


def _unknown_to_browser() -> bool:
    """True when the browser answered before it had all of the form: a choice that is never empty is."""
    return any(key in st.session_state and st.session_state[key] is None for key in NEVER_EMPTY)


def drawn() -> None:
    """Notes that this run drew the whole form."""
    remember()
    st.session_state[DRAWN] = monotonic()


def left() -> None:
    """Notes that another page is drawn: what the browser showed of the form is gone."""
    st.session_state.pop(DRAWN, None)


def change_model(card: ModelCard) -> None:
    """Gives everything that depends on the model the new model's defaults; texts, template, seed and count stay."""
    kept = ("g_prompt", "g_negative", "g_seed", "g_count", "g_template", "g_strength")
    for key, value in defaults(card).items():
        if key not in kept:
            st.session_state[key] = value
    if not card.negative_prompt:
        st.session_state["g_negative"] = ""
    st.session_state["g_count"] = min(st.session_state.get("g_count") or 1, card.max_count)
    remember()


def recall(spec: JobSpec, card: ModelCard, *, seed: bool, job_id: str) -> None:
    """Has the next run of the page fill the form with what a job was run with; `seed` or a random one.

    The prompt is typed so that it stands for the same words again: its template was applied, its braces are characters.
    What the job was drawn over is chosen again; the form says when that is no longer stored.
    """
    size = _label(card, (spec.width, spec.height))
    source_choice.recall(spec, job_id)
    st.session_state[RECALLED] = True
    st.session_state[MEMORY] = {
        "g_model": card.id,
        "g_prompt": escape(spec.prompt),
        "g_negative": spec.negative_prompt,
        "g_size": size,
        "g_width": spec.width,
        "g_height": spec.height,
        "g_upright": spec.height > spec.width,
        "g_lock": False,
        "g_quality": spec.quality,
        "g_steps": spec.steps,
        "g_guidance": float(spec.guidance),
        "g_scheduler": spec.scheduler,
        "g_seed": spec.seed if seed else None,
        "g_count": spec.count,
        "g_template": "",
        "g_strength": DEFAULT_STRENGTH if spec.strength is None else spec.strength,
    }


def roll_seed() -> None:
    """Fixes a seed by chance."""
    st.session_state["g_seed"] = secrets.randbelow(MAX_SEED + 1)
    remember()


def clear_seed() -> None:
    """Leaves the seed to each job."""
    st.session_state["g_seed"] = None
    remember()


def apply_quality(card: ModelCard) -> None:
    """Sets the steps to what the chosen quality stands for."""
    quality = st.session_state.get("g_quality")
    if quality in card.qualities:
        st.session_state["g_steps"] = card.qualities[quality]
    remember()


def shapes(card: ModelCard) -> list[str]:
    """The labels of the card's shapes the way round that is chosen; squares are in both."""
    upright = st.session_state["g_upright"]
    return [s.label for s in card.sizes if s.width == s.height or (s.height > s.width) == upright]


def size(card: ModelCard) -> tuple[int, int]:
    """Width and height that the form stands for, unchecked; what was emptied is 0."""
    state = st.session_state
    preset = next((s for s in card.sizes if s.label == state["g_size"]), None)
    return (preset.width, preset.height) if preset else (state["g_width"] or 0, state["g_height"] or 0)


def set_size(card: ModelCard, wanted: tuple[int, int]) -> None:
    """Chooses the preset of that size, or types it in."""
    state = st.session_state
    state["g_size"] = _label(card, wanted)
    state["g_width"], state["g_height"] = wanted
    state["g_upright"] = wanted[1] > wanted[0]
    remember()


def shape_chosen(card: ModelCard) -> None:
    """A custom size begins with the shape that was chosen before."""
    if st.session_state["g_size"] != CUSTOM:
        st.session_state["g_width"], st.session_state["g_height"] = size(card)
    remember()


def swap(card: ModelCard) -> None:
    """Turns the size: width becomes height. Of a square, the shapes beside it turn."""
    state = st.session_state
    width, height = size(card)
    if state["g_size"] == CUSTOM or width != height:
        custom = state["g_size"] == CUSTOM
        set_size(card, (height, width))
        if custom:
            state["g_size"] = CUSTOM
            lock_changed()
    else:
        state["g_upright"] = not state["g_upright"]
    remember()


def lock_changed() -> None:
    """Notes the shape that is kept from here on."""
    st.session_state[LOCKED] = (st.session_state["g_width"], st.session_state["g_height"])
    remember()


def side_changed(card: ModelCard, name: str) -> None:
    """Has the other side of a custom size follow, where its shape is kept."""
    state = st.session_state
    value, (width, height) = state[f"g_{name}"], state.get(LOCKED) or (0, 0)
    if state["g_lock"] and value and width and height:
        other, share = ("height", height / width) if name == "width" else ("width", width / height)
        state[f"g_{other}"] = max(1, round(value * share / card.grid_px)) * card.grid_px
    remember()


def _label(card: ModelCard, wanted: tuple[int, int]) -> str:
    return next((s.label for s in card.sizes if (s.width, s.height) == wanted), CUSTOM)


def request(card: ModelCard, source: Source | None) -> JobRequest:
    """The request the form stands for, its prompt as it was typed; unchecked, as the service layer does that.

    `source` is what it draws over, None for nothing.
    """
    state = st.session_state
    preset = next((s for s in card.sizes if s.label == state["g_size"]), None)
    return JobRequest(
        prompt=state["g_prompt"] or "",
        negative_prompt=(state.get("g_negative") or "") if card.negative_prompt else "",
        model=card.id,
        width=preset.width if preset else state["g_width"],
        height=preset.height if preset else state["g_height"],
        steps=state["g_steps"],
        guidance=state["g_guidance"],
        scheduler=state["g_scheduler"],
        quality=state["g_quality"],
        seed=state["g_seed"],
        count=state["g_count"] or 1,
        source=source,
        strength=state["g_strength"] if source is not None else None,
    )
