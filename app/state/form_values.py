"""The values of the Create form: defaults, memory across pages, and conversion to a request."""

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
# Streamlit drops the values of widgets that the current page does not draw, so the form is stored here.
MEMORY = "form"
# Set while the stored values must overwrite the widgets.
RECALLED = "form_recalled"
# When a run last drew the whole form (monotonic seconds).
DRAWN = "form_drawn"
# A run that starts sooner may have dropped unsent messages, because Streamlit empties its queue.
SENT_AFTER_S = 0.5
TEXTS = ("g_prompt", "g_negative")
# Opens when it is filled from outside.
NEGATIVE_BOX = "negative_box"
# The width and height whose aspect ratio a custom size keeps.
LOCKED = "locked_shape"
NEVER_EMPTY = ("g_size", "g_quality", "g_count")


def defaults(card: ModelCard) -> dict[str, Any]:
    """Returns the initial values for a model: the user's preferences, else the model's defaults."""
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
    """Sets the remembered or default value of each widget without a value in this run, before it is drawn.

    All values are restored again if the previous run did not draw the form, or drew it only just now:
    its values are in the session but may not have reached the browser. Texts are left to `initial`, unless
    they were recalled or are known here: a browser that reconnects after a server restart still knows what was
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
    """Returns the initial text of a widget that this session has not drawn yet, else nothing."""
    return "" if key in st.session_state else str(st.session_state[MEMORY].get(key, ""))


def remember() -> None:
    """Saves the values for the next visit of the page; on every change, because the next run may be interrupted."""
    # From a partly drawn form, the browser sends the texts and otherwise only placeholder values.
    keys = TEXTS if _unknown_to_browser() else KEYS
    now = {key: st.session_state[key] for key in keys if key in st.session_state}
    st.session_state[MEMORY] = st.session_state.get(MEMORY, {}) | now


def _unknown_to_browser() -> bool:
    """Whether the browser sent values before it had the whole form: a choice that is never empty is missing."""
    return any(key in st.session_state and st.session_state[key] is None for key in NEVER_EMPTY)


def drawn() -> None:
    """Records that this run drew the whole form."""
    remember()
    st.session_state[DRAWN] = monotonic()


def left() -> None:
    """Records that another page is drawn, so the browser no longer shows the form."""
    st.session_state.pop(DRAWN, None)


def change_model(card: ModelCard) -> None:
    """Sets model-dependent values to the new model's defaults; keeps texts, template, seed, and count."""
    kept = ("g_prompt", "g_negative", "g_seed", "g_count", "g_template", "g_strength")
    for key, value in defaults(card).items():
        if key not in kept:
            st.session_state[key] = value
    if not card.negative_prompt:
        st.session_state["g_negative"] = ""
    st.session_state["g_count"] = min(st.session_state.get("g_count") or 1, card.max_count)
    remember()


def recall(spec: JobSpec, card: ModelCard, *, seed: bool, job_id: str) -> None:
    """Makes the next run fill the form with a job's settings and `seed`, or a random seed.

    The prompt is escaped so that it expands to the same text: its template is already applied, its braces are literal.
    The job's source picture is chosen again; the form says so if it is no longer stored.
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
    """Sets a random seed that stays in the form."""
    st.session_state["g_seed"] = secrets.randbelow(MAX_SEED + 1)
    remember()


def clear_seed() -> None:
    """Clears the seed, so that each job gets a random one."""
    st.session_state["g_seed"] = None
    remember()


def apply_quality(card: ModelCard) -> None:
    """Sets the steps of the chosen quality."""
    quality = st.session_state.get("g_quality")
    if quality in card.qualities:
        st.session_state["g_steps"] = card.qualities[quality]
    remember()


def shapes(card: ModelCard) -> list[str]:
    """Returns the labels of the card's shapes in the chosen orientation; squares are in both."""
    upright = st.session_state["g_upright"]
    return [s.label for s in card.sizes if s.width == s.height or (s.height > s.width) == upright]


def size(card: ModelCard) -> tuple[int, int]:
    """Returns the form's width and height, unvalidated; an empty field is 0."""
    state = st.session_state
    preset = next((s for s in card.sizes if s.label == state["g_size"]), None)
    return (preset.width, preset.height) if preset else (state["g_width"] or 0, state["g_height"] or 0)


def set_size(card: ModelCard, wanted: tuple[int, int]) -> None:
    """Chooses the preset of that size, or enters it as a custom size."""
    state = st.session_state
    state["g_size"] = _label(card, wanted)
    state["g_width"], state["g_height"] = wanted
    state["g_upright"] = wanted[1] > wanted[0]
    remember()


def shape_chosen(card: ModelCard) -> None:
    """Initializes a custom size with the previously chosen shape."""
    if st.session_state["g_size"] != CUSTOM:
        st.session_state["g_width"], st.session_state["g_height"] = size(card)
    remember()


def swap(card: ModelCard) -> None:
    """Swaps width and height; for a square, changes the orientation of the offered shapes."""
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
    """Records the aspect ratio to keep."""
    st.session_state[LOCKED] = (st.session_state["g_width"], st.session_state["g_height"])
    remember()


def side_changed(card: ModelCard, name: str) -> None:
    """Adjusts the other side of a custom size if the aspect ratio is kept."""
    state = st.session_state
    value, (width, height) = state[f"g_{name}"], state.get(LOCKED) or (0, 0)
    if state["g_lock"] and value and width and height:
        other, share = ("height", height / width) if name == "width" else ("width", width / height)
        state[f"g_{other}"] = max(1, round(value * share / card.grid_px)) * card.grid_px
    remember()


def _label(card: ModelCard, wanted: tuple[int, int]) -> str:
    return next((s.label for s in card.sizes if (s.width, s.height) == wanted), CUSTOM)


def request(card: ModelCard, source: Source | None) -> JobRequest:
    """Returns the form's request with the prompt as typed; not validated, because the services do that.

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
