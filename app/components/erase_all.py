"""Deleting all of one's jobs and pictures: the words to type first, the receipt afterwards."""

from __future__ import annotations

import streamlit as st

from app.page_runner import errors_in_words
from app.wording import plural
from services.build import Studio
from services.records import ErasureReceipt, User

CONFIRMATION = "delete everything"
# What a session remembers of things that are gone afterwards.
FORGOTTEN = (
    "feed",
    "history_after",
    "open_jobs",
    "ended",
    "links",
    "viewer_jobs",
    "viewer_ids",
    "new_share",
    "top_jobs",
    "usage",
    "deleted",
    "known_tags",
    "prompt_book",
    "same_job",
    "partly_sent",
)


@st.dialog("Delete everything")
def delete_everything(studio: Studio, user: User) -> None:
    """The dialog; `show_receipt` shows what it did in the next run."""
    with errors_in_words():
        ask_and_erase(studio, user)


def ask_and_erase(studio: Studio, user: User) -> None:
    """Erases all jobs and pictures once the words were typed; the receipt is left in the session."""
    st.markdown(
        "All your jobs, pictures, favourites, shared links, lists, templates and starred prompts will be erased for "
        "good. "
        "API keys stay."
    )
    # A form: its button sends what is typed, where one of its own would wait for the field to be left.
    with st.form("erase_all", border=False):
        typed = st.text_input(f"Type **{CONFIRMATION}** to confirm", key="confirm_all", autocomplete="off")
        problem = st.empty()
        pressed = st.form_submit_button("Delete everything", type="primary", key="sure_all")
    if pressed and typed.strip().lower() != CONFIRMATION:
        problem.markdown(
            f":red[:material/error: Type the words “{CONFIRMATION}” first. Nothing was deleted.]"
        )
    elif pressed:
        with st.spinner("Erasing…"):
            st.session_state["receipt"] = studio.jobs.delete_all(user)
        for key in FORGOTTEN:
            st.session_state.pop(key, None)
        st.rerun()


def erased_words(receipt: ErasureReceipt) -> list[str]:
    """What went, kind by kind; links and texts only where there were some."""
    words = [plural(receipt.jobs, "job"), plural(receipt.images, "picture")]
    if receipt.shares:
        words.append(plural(receipt.shares, "shared link"))
    if receipt.texts:
        words.append(plural(receipt.texts, "list, template or star", "lists, templates and stars"))
    return words


def show_receipt(receipt: ErasureReceipt) -> None:
    """What was erased, in figures; the list was read again to be sure."""
    st.success(
        f"Erased {', '.join(erased_words(receipt))} and {plural(receipt.objects, 'stored object')} "
        f"at {receipt.completed_at:%H:%M:%S} UTC. "
        "Listed again afterwards: nothing is left.",
        icon=":material/verified:",
    )
