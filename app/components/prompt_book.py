"""The dialog in which a maker's lists and templates are made, changed and deleted."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from app import prompt_cache
from app.components.error_banner import show_error
from app.page_runner import errors_in_words
from app.wording import plural
from services.build import Studio
from services.errors import StudioError
from services.prompt_book import MAX_ENTRIES, MAX_NAME
from services.prompt_syntax import MAX_PROMPTS, PLACE
from services.records import User

KIND = "book_kind"
# What a callback did or met, to be told by the run after it: a sentence or a StudioError.
OUTCOME = "book_outcome"


@dataclass(frozen=True)
class Kind:
    """Words for one of the two kinds of text."""

    name: str
    title: str
    text: str
    placeholder: str
    about: str


LISTS = Kind(
    "list",
    "Lists",
    "Entries, one a line",
    "cat\ndog\nfox",
    "With a list `animal`, the prompt `a __animal__` draws each of its entries; `{red|blue} apple` does the same "
    f"without a list. A list has at most {MAX_ENTRIES} entries; one press draws at most {MAX_PROMPTS} prompts.",
)
TEMPLATES = Kind(
    "template",
    "Templates",
    "Template",
    f"a photo of {PLACE}, 35 mm",
    f"What you type in the form goes where `{PLACE}` stands.",
)
KINDS = {kind.name: kind for kind in (LISTS, TEMPLATES)}


@st.dialog("Lists and templates", width="medium", icon=":material/library_books:", on_dismiss="rerun")
def open_prompt_book(studio: Studio, user: User) -> None:
    """The dialog; the page runs again when it is closed, with what was changed."""
    with errors_in_words():
        edit_prompt_book(studio, user)


def edit_prompt_book(studio: Studio, user: User) -> None:
    """The dialog's content: which kind, which one, its text."""
    st.session_state.setdefault(KIND, LISTS.name)
    st.segmented_control(
        "Kind",
        list(KINDS),
        key=KIND,
        required=True,
        format_func=lambda name: KINDS[name].title,
        label_visibility="collapsed",
        width="stretch",
    )
    kind = KINDS[st.session_state[KIND]]
    st.caption(kind.about)
    texts = _texts(studio, user, kind)
    which = _which(kind)
    if st.session_state.get(which) not in texts:
        st.session_state[which] = ""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.selectbox(
            kind.name.capitalize(),
            ["", *texts],
            key=which,
            format_func=lambda name: name or f"New {kind.name}",
        )
        if chosen:
            _deletion(studio, user, kind, chosen)
    _editor(studio, user, kind, chosen, texts.get(chosen, ""))
    outcome = st.session_state.pop(OUTCOME, None)
    if isinstance(outcome, StudioError):
        show_error(outcome)
    elif outcome is not None:
        st.success(outcome, icon=":material/check:")


def _editor(studio: Studio, user: User, kind: Kind, chosen: str, text: str) -> None:
    with st.form(f"book_{kind.name}_form_{chosen}", border=False):
        if not chosen:
            st.text_input(
                "Name",
                key=f"book_{kind.name}_name",
                max_chars=MAX_NAME,
                placeholder="animal" if kind is LISTS else "film",
                autocomplete="off",
            )
        st.text_area(
            kind.text,
            value=text,
            key=_text_key(kind, chosen),
            height=220 if kind is LISTS else 110,
            placeholder=kind.placeholder,
        )
        st.form_submit_button(
            "Save",
            type="primary",
            icon=":material/save:",
            key=f"book_{kind.name}_save",
            on_click=_save,
            args=(studio, user, kind, chosen),
        )


def _deletion(studio: Studio, user: User, kind: Kind, chosen: str) -> None:
    with st.popover("Delete", icon=":material/delete:", key=f"book_{kind.name}_delete"):
        st.markdown(f"The {kind.name} `{chosen}` will be gone for good.")
        st.button(
            "Delete",
            type="primary",
            key=f"book_{kind.name}_sure",
            on_click=_delete,
            args=(studio, user, kind, chosen),
        )


def _save(studio: Studio, user: User, kind: Kind, chosen: str) -> None:
    new = not chosen
    name = (chosen or str(st.session_state.get(f"book_{kind.name}_name") or "")).strip().lower()
    text = str(st.session_state.get(_text_key(kind, chosen)) or "")
    try:
        if kind is LISTS:
            kept = studio.prompts.save_list(user, name, text, new=new)
            said = f"Saved {plural(len(kept.entries), 'entry', 'entries')}: write `__{name}__` in a prompt."
        else:
            studio.prompts.save_template(user, name, text, new=new)
            said = f"Saved: choose `{name}` under the prompt."
    except StudioError as error:
        st.session_state[OUTCOME] = error
        return
    prompt_cache.forget("lists", "entries", "templates")
    st.session_state[OUTCOME] = said
    st.session_state[_which(kind)] = name
    if new:
        # The next new one begins empty.
        st.session_state.pop(f"book_{kind.name}_name", None)
        st.session_state.pop(_text_key(kind, ""), None)


def _delete(studio: Studio, user: User, kind: Kind, name: str) -> None:
    try:
        (studio.prompts.delete_list if kind is LISTS else studio.prompts.delete_template)(user, name)
    except StudioError as error:
        st.session_state[OUTCOME] = error
        return
    prompt_cache.forget("lists", "entries", "templates")
    st.session_state[OUTCOME] = f"Deleted `{name}`."
    st.session_state.pop(_text_key(kind, name), None)


def _texts(studio: Studio, user: User, kind: Kind) -> dict[str, str]:
    """The texts of all of the kind by name, as they are edited."""
    if kind is LISTS:
        return {each.name: "\n".join(each.entries) for each in prompt_cache.lists(studio, user)}
    return {each.name: each.text for each in prompt_cache.templates(studio, user)}


def _which(kind: Kind) -> str:
    return f"book_{kind.name}_chosen"


def _text_key(kind: Kind, chosen: str) -> str:
    return f"book_{kind.name}_text_{chosen}"
