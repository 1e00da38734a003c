"""Prompt tools: recent and starred prompts, the template, and the preview of expanded prompts."""

from __future__ import annotations

import streamlit as st

from app.i18n.texts import mark, tr
from app.state import form_values as form
from app.state import prompt_cache
from app.ui.common.error_banner import show_error
from app.ui.common.error_boundary import error_boundary
from app.ui.common.plain_text import one_line
from app.ui.common.prompt_text import show_text
from app.ui.create.prompt_book import open_prompt_book
from services.build import Studio
from services.errors import StudioError
from services.prompts.syntax import expand, list_names
from services.records import User
from services.store import keys

RECENT_BOX = "recent_box"
# The error of a callback, shown by the next run.
PROBLEM = "recent_problem"
SHOWN_CHARACTERS = 140
PREVIEW_CHARACTERS = 300
STARRED, RECENT = mark("Starred"), mark("Recent")


def prompt_tools(studio: Studio, user: User) -> None:
    """Draws the row under the prompt. Reads templates unless cached, and the rest when it is opened."""
    with st.container(horizontal=True, key="prompt_tools", gap="small"):
        box = st.popover(
            tr("Recent"),
            icon=":material/history:",
            type="tertiary",
            key=RECENT_BOX,
            on_change=_recent_toggled,
        )
        opened = st.button(
            tr("Lists and templates"),
            icon=":material/library_books:",
            type="tertiary",
            key="open_prompt_book",
            on_click=prompt_cache.forget,
        )
    if box.open:
        with box, error_boundary():
            _recent(studio, user)
    if opened:
        open_prompt_book(studio, user)
    # The container exists with and without templates: otherwise Streamlit would remount what follows.
    with st.container(), error_boundary():
        _template(studio, user)


def prompts(studio: Studio, user: User, text: str) -> tuple[str, ...]:
    """Expands `text` in the chosen template into prompts. Raises InvalidRequest, Unavailable.

    An empty text is one empty prompt, whatever the template.
    """
    if not text.strip():
        return (text,)
    template = _chosen(studio, user)
    lists = prompt_cache.entries(studio, user, list_names(text, template=template))
    return expand(text, lists, template=template)


def preview(texts: tuple[str, ...]) -> None:
    """Draws several prompts as plain text in a collapsed expander."""
    with st.expander(
        tr("Preview {count} prompts", count=len(texts)),
        icon=":material/format_list_numbered:",
        key="preview_box",
    ):
        show_text(
            "\n".join(f"{n}. {one_line(text, PREVIEW_CHARACTERS)}" for n, text in enumerate(texts, start=1))
        )


def _chosen(studio: Studio, user: User) -> str | None:
    """Returns the text of the chosen template, or None."""
    name = st.session_state.get("g_template")
    if not name:
        return None
    return next((each.text for each in prompt_cache.templates(studio, user) if each.name == name), None)


def _template(studio: Studio, user: User) -> None:
    """Draws the choice of a template for users who have one."""
    names: list[str] = []
    try:
        names = [template.name for template in prompt_cache.templates(studio, user)]
    finally:
        # Deleted in another window or unreadable right now: a template that is not shown must not be applied.
        chosen = st.session_state.get("g_template")
        if chosen is None or (chosen and chosen not in names):
            st.session_state["g_template"] = ""
    if names:
        st.selectbox(
            tr("Template"),
            ["", *names],
            key="g_template",
            format_func=lambda name: name or tr("None"),
            on_change=form.remember,
        )
        if (text := _chosen(studio, user)) is not None:
            show_text(one_line(text, PREVIEW_CHARACTERS))


def _recent_toggled() -> None:
    prompt_cache.forget("recent", "stars")


def _recent(studio: Studio, user: User) -> None:
    """Draws starred prompts, then recent ones, each with buttons to use and to star it."""
    if (problem := st.session_state.pop(PROBLEM, None)) is not None:
        show_error(problem)
    stars = prompt_cache.stars(studio, user)
    recent = [text for text in prompt_cache.recent(studio, user) if text not in stars]
    typed = str(st.session_state.get("g_prompt") or "")
    if typed.strip() and typed not in stars:
        st.button(
            tr("Star the prompt in the form"),
            icon=":material/star:",
            key="star_typed",
            on_click=_star,
            args=(studio, user, typed),
        )
    with st.container(gap="xsmall", key="recent_rows"):
        for title, texts in ((STARRED, stars), (RECENT, recent)):
            if texts:
                st.caption(tr(title))
            for text in texts:
                _row(studio, user, text, starred=title == STARRED)
    if not stars and not recent:
        st.caption(tr("Your last 20 prompts and your starred prompts will appear here."))


def _row(studio: Studio, user: User, text: str, *, starred: bool) -> None:
    key = keys.digest(text)[:16]
    # The labels are for screen readers: atelier.css shows only the icons.
    with st.container(
        horizontal=True, vertical_alignment="center", gap="small", wrap=False, key=f"recent_{key}"
    ):
        show_text(one_line(text, SHOWN_CHARACTERS))
        st.button(
            tr("Use in the form"),
            icon=":material/edit_note:",
            type="tertiary",
            key=f"use_{key}",
            help=tr("Use in the form"),
            on_click=_use,
            args=(text,),
        )
        st.button(
            tr("Remove the star") if starred else tr("Star it"),
            icon=":material/star:" if starred else ":material/star_border:",
            type="tertiary",
            key=f"{'unstar' if starred else 'star'}_{key}",
            help=tr("Remove the star") if starred else tr("Star it"),
            on_click=_unstar if starred else _star,
            args=(studio, user, text),
        )


def _use(text: str) -> None:
    """Puts a prompt into the form and closes the popover; a recent prompt already includes its template."""
    st.session_state["g_prompt"] = text
    st.session_state["g_template"] = ""
    st.session_state[RECENT_BOX] = False
    form.remember()


def _star(studio: Studio, user: User, text: str) -> None:
    try:
        studio.prompts.star(user, text)
    except StudioError as error:
        st.session_state[PROBLEM] = error
    prompt_cache.forget("stars")


def _unstar(studio: Studio, user: User, text: str) -> None:
    try:
        studio.prompts.unstar(user, text)
    except StudioError as error:
        st.session_state[PROBLEM] = error
    prompt_cache.forget("stars")
