"""Reads the settings of a dropped picture, without storing the file, and fills the form with them."""

from __future__ import annotations

from typing import Any

import streamlit as st

from app.i18n.texts import number, tr, tr_sentence
from app.state import form_values as form
from app.streamlit_internals.uploads import ENDINGS, taken, uploader_key
from app.ui.common.plain_text import as_label
from app.ui.common.prompt_text import show_text
from services.build import Studio
from services.catalogue.cards import ModelCard
from services.errors import InvalidRequest
from services.formats.embedded_text import MAX_FILE_BYTES
from services.prompts.syntax import escape
from services.recipes.fit_to_model import Fitted, fit
from services.recipes.read_recipe import read_recipe
from services.recipes.recipe import Recipe

# The recipe of the last file, or why there is none.
RECALLED = "recalled_recipe"
FILE = "recall_file"
LONGEST_FACTS, LONGEST_REMARK = 600, 400


def recall_drop(studio: Studio) -> None:
    """Draws the drop area; after a drop, until it is closed, the file's settings, which of them do not fit
    the chosen model, and the ways to use it.

    The file's bytes are not stored, not even in the session.
    """
    said = st.session_state.get(RECALLED)
    with st.expander(
        tr("Settings from a picture"),
        icon=":material/image_search:",
        key="recall_box",
        expanded=said is not None,
    ):
        if isinstance(said, Recipe):
            _show(said, fit(said, _chosen(studio), studio.catalogue.models()))
            return
        st.file_uploader(
            tr("Drop a picture from Atelier, A1111, ComfyUI, InvokeAI, or SwarmUI"),
            type=ENDINGS,
            key=uploader_key(FILE),
            max_upload_size=MAX_FILE_BYTES // 1024 // 1024,
            on_change=_take,
        )
        if said is not None:
            st.warning(as_label(tr_sentence(said), LONGEST_REMARK), icon=":material/info:")
        else:
            st.caption(tr("Only its settings are read; the file is not stored."))


def _take() -> None:
    """Reads the dropped file and releases its bytes."""
    with taken(FILE) as file:
        if file is None:
            return
        try:
            st.session_state[RECALLED] = read_recipe(file)
        except InvalidRequest as error:
            # Keep only the message: the error's traceback would keep the file's bytes in memory.
            st.session_state[RECALLED] = error.message


def _chosen(studio: Studio) -> ModelCard:
    cards = studio.catalogue.models()
    chosen = st.session_state.get(form.MEMORY, {}).get("g_model")
    return next((card for card in cards if card.id == chosen), cards[0])


def _show(recipe: Recipe, fitted: Fitted) -> None:
    if recipe.prompt:
        with st.container(key="recalled_prompt"):
            show_text(recipe.prompt)
    with st.container(gap=None, key="recalled_facts"):
        if recipe.negative_prompt:
            st.caption(tr("Not in the picture: {text}", text=as_label(recipe.negative_prompt, LONGEST_FACTS)))
        st.caption(as_label(" · ".join(_facts(recipe)), LONGEST_FACTS))
        for remark in fitted.remarks:
            st.caption(f":orange[:material/info:] {as_label(tr_sentence(remark), LONGEST_REMARK)}")
    with st.container(horizontal=True, gap="small", key="recall_uses"):
        _button(
            tr("Use all"),
            "all",
            fitted,
            type="primary",
            help=tr("All settings in the file, including the seed"),
        )
        _button(tr("Remix"), "remix", fitted, help=tr("All settings except the seed, which becomes random"))
        _button(tr("Use prompt"), "prompt", fitted, disabled=fitted.prompt is None)
        _button(tr("Use seed"), "seed", fitted, disabled=fitted.seed is None)
        st.button(tr("Close"), key="recall_close", type="tertiary", on_click=_close)


def _facts(recipe: Recipe) -> list[str]:
    """Returns the file's settings other than its texts, unchanged."""
    facts = [tr("From {program}", program=recipe.source)]
    if recipe.seed is not None:
        facts.append(tr("seed {seed}", seed=recipe.seed))
    if recipe.steps is not None:
        facts.append(tr("{count} steps", count=recipe.steps))
    if recipe.sampler is not None:
        facts.append(recipe.sampler)
    if recipe.guidance is not None:
        facts.append(tr("guidance {value}", value=number(recipe.guidance)))
    if recipe.width is not None and recipe.height is not None:
        facts.append(f"{recipe.width} x {recipe.height}")
    if recipe.model is not None:
        facts.append(recipe.model)
    return facts


def _button(label: str, use: str, fitted: Fitted, **more: Any) -> None:
    st.button(label, key=f"recall_{use}", on_click=_use, args=(use, fitted), **more)


def _close() -> None:
    st.session_state.pop(RECALLED, None)


def _use(use: str, fitted: Fitted) -> None:
    """Fills the form in this run; settings missing from the file keep their values."""
    form.remember()
    memory = st.session_state[form.MEMORY]
    values: dict[str, Any] = {}
    if use in ("all", "remix"):
        values |= _settings(fitted, memory)
    if use in ("all", "prompt", "remix") and fitted.prompt is not None:
        # Braces and underscores are literal here, and the template must not be applied a second time.
        values |= {"g_prompt": escape(fitted.prompt), "g_template": None}
    if use == "remix":
        values["g_seed"] = None
    elif use in ("all", "seed") and fitted.seed is not None:
        values["g_seed"] = fitted.seed
    st.session_state[form.MEMORY] = memory | values
    st.session_state[form.RECALLED] = True
    st.toast(tr("The form is filled in."), icon=":material/check:")


def _settings(fitted: Fitted, memory: dict[str, Any]) -> dict[str, Any]:
    """Returns the form's values other than prompt and seed; a different model brings its own defaults."""
    card = fitted.card
    values: dict[str, Any] = {}
    if memory.get("g_model") != card.id:
        kept = ("g_prompt", "g_negative", "g_seed", "g_count", "g_template", "g_strength")
        values |= {key: value for key, value in form.defaults(card).items() if key not in kept}
        values["g_count"] = min(memory.get("g_count") or 1, card.max_count)
    if fitted.negative_prompt is not None:
        values["g_negative"] = fitted.negative_prompt
    if fitted.size is not None:
        width, height = fitted.size
        label = next((s.label for s in card.sizes if (s.width, s.height) == fitted.size), form.CUSTOM)
        values |= {"g_size": label, "g_width": width, "g_height": height, "g_upright": height > width}
    for key, value in (
        ("g_steps", fitted.steps),
        ("g_guidance", fitted.guidance),
        ("g_scheduler", fitted.scheduler),
    ):
        if value is not None:
            values[key] = value
    return values
