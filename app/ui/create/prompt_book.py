"""The dialog that creates, edits, and deletes a user's lists and templates."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from app.i18n.texts import mark, tr, tr_n
from app.state import prompt_cache
from app.ui.common.error_banner import show_error
from app.ui.common.error_boundary import error_boundary
from services.build import Studio
from services.errors import StudioError
from services.prompts.book import MAX_ENTRIES, MAX_NAME
from services.prompts.syntax import MAX_PROMPTS
from services.records import User

KIND = "book_kind"
# The outcome of a callback, shown by the next run: a sentence or a StudioError.
OUTCOME = "book_outcome"


@dataclass(frozen=True)
class Kind:
    """The English texts for one of the two kinds; `tr` translates them."""

    name: str
    title: str
    one: str
    new: str
    text: str
    placeholder: str
    about: str
    gone: str


LISTS = Kind(
    name="list",
    title=mark("Lists"),
    one=mark("List"),
    new=mark("New list"),
    text=mark("Entries, one per line"),
    placeholder=mark("cat\ndog\nfox"),
    about=mark(
        "With a list named `animal`, the prompt `a __animal__` draws each entry of the list. `{{red|blue}} "
        "apple` does the same without a list. A list holds up to {entries} entries; one click draws up to "
        "{prompts} prompts. Lines that begin with `#` are left out."
    ),
    gone=mark("The list `{name}` will be permanently deleted."),
)
TEMPLATES = Kind(
    name="template",
    title=mark("Templates"),
    one=mark("Template"),
    new=mark("New template"),
    text=mark("Template"),
    placeholder=mark("a photo of {prompt}, 35 mm"),
    about=mark("The prompt you type in the form replaces `{{prompt}}`."),
    gone=mark("The template `{name}` will be permanently deleted."),
)
KINDS = {kind.name: kind for kind in (LISTS, TEMPLATES)}


def open_prompt_book(studio: Studio, user: User) -> None:
    """Opens the dialog; closing it reruns the page with the changes."""
    dialog = st.dialog(
        tr("Lists and templates"), width="medium", icon=":material/library_books:", on_dismiss="rerun"
    )
    dialog(_show)(studio, user)


def _show(studio: Studio, user: User) -> None:
    with error_boundary():
        edit_prompt_book(studio, user)


def edit_prompt_book(studio: Studio, user: User) -> None:
    """Draws the dialog: the kind, the entry, and its text."""
    st.session_state.setdefault(KIND, LISTS.name)
    st.segmented_control(
        tr("Kind"),
        list(KINDS),
        key=KIND,
        required=True,
        format_func=lambda name: tr(KINDS[name].title),
        label_visibility="collapsed",
        width="stretch",
    )
    kind = KINDS[st.session_state[KIND]]
    st.caption(tr(kind.about, entries=MAX_ENTRIES, prompts=MAX_PROMPTS))
    texts = _texts(studio, user, kind)
    which = _which(kind)
    if st.session_state.get(which) not in texts:
        st.session_state[which] = ""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.selectbox(
            tr(kind.one),
            ["", *texts],
            key=which,
            format_func=lambda name: name or tr(kind.new),
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
                tr("Name"),
                key=f"book_{kind.name}_name",
                max_chars=MAX_NAME,
                placeholder=tr("animal") if kind is LISTS else tr("film"),
                autocomplete="off",
            )
        st.text_area(
            tr(kind.text),
            value=text,
            key=_text_key(kind, chosen),
            height=220 if kind is LISTS else 110,
            placeholder=tr(kind.placeholder),
        )
        st.form_submit_button(
            tr("Save"),
            type="primary",
            icon=":material/save:",
            key=f"book_{kind.name}_save",
            on_click=_save,
            args=(studio, user, kind, chosen),
        )


def _deletion(studio: Studio, user: User, kind: Kind, chosen: str) -> None:
    with st.popover(tr("Delete"), icon=":material/delete:", key=f"book_{kind.name}_delete"):
        st.markdown(tr(kind.gone, name=chosen))
        st.button(
            tr("Delete"),
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
            said = tr_n(
                "Saved {count} entry. Write `__{name}__` in a prompt to use it.",
                "Saved {count} entries. Write `__{name}__` in a prompt to use them.",
                len(kept.entries),
                name=name,
            )
        else:
            studio.prompts.save_template(user, name, text, new=new)
            said = tr("Saved. Choose `{name}` under the prompt.", name=name)
    except StudioError as error:
        st.session_state[OUTCOME] = error
        return
    prompt_cache.forget("lists", "entries", "templates")
    st.session_state[OUTCOME] = said
    st.session_state[_which(kind)] = name
    if new:
        # The form for the next new entry starts empty.
        st.session_state.pop(f"book_{kind.name}_name", None)
        st.session_state.pop(_text_key(kind, ""), None)


def _delete(studio: Studio, user: User, kind: Kind, name: str) -> None:
    try:
        (studio.prompts.delete_list if kind is LISTS else studio.prompts.delete_template)(user, name)
    except StudioError as error:
        st.session_state[OUTCOME] = error
        return
    prompt_cache.forget("lists", "entries", "templates")
    st.session_state[OUTCOME] = tr("Deleted `{name}`.", name=name)
    st.session_state.pop(_text_key(kind, name), None)


def _texts(studio: Studio, user: User, kind: Kind) -> dict[str, str]:
    """Returns the editable texts of one kind by name."""
    if kind is LISTS:
        return {each.name: "\n".join(each.entries) for each in prompt_cache.lists(studio, user)}
    return {each.name: each.text for each in prompt_cache.templates(studio, user)}


def _which(kind: Kind) -> str:
    return f"book_{kind.name}_chosen"


def _text_key(kind: Kind, chosen: str) -> str:
    return f"book_{kind.name}_text_{chosen}"
