"""Deletes all of a user's jobs and pictures: a typed confirmation before, a receipt afterwards."""

from __future__ import annotations

import streamlit as st

from app.i18n.texts import mark, tr, tr_n
from app.ui.common.error_boundary import error_boundary
from services.build import Studio
from services.records import ErasureReceipt, User

# The confirmation to type, in the reader's language.
CONFIRMATION = mark("delete everything")
# Session entries that refer to deleted records.
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


def delete_everything(studio: Studio, user: User) -> None:
    """The dialog; `show_receipt` shows what it did in the next run."""
    st.dialog(tr("Delete everything"))(_everything)(studio, user)


def _everything(studio: Studio, user: User) -> None:
    with error_boundary():
        ask_and_erase(studio, user)


def ask_and_erase(studio: Studio, user: User) -> None:
    """Erases all jobs and pictures after the confirmation was typed; leaves the receipt in the session."""
    st.markdown(
        tr(
            "All your jobs, pictures, favorites, shared links, lists, templates, and starred prompts will "
            "be permanently deleted. API keys are kept."
        )
    )
    wanted = tr(CONFIRMATION)
    # In a form, the button submits the typed text; outside one, the text arrives only when the field loses focus.
    with st.form("erase_all", border=False):
        typed = st.text_input(
            tr("Type **{words}** to confirm", words=wanted), key="confirm_all", autocomplete="off"
        )
        problem = st.empty()
        pressed = st.form_submit_button(tr("Delete everything"), type="primary", key="sure_all")
    if pressed and " ".join(typed.split()).casefold() != wanted.casefold():
        sorry = tr("Type the words “{words}” first. Nothing was deleted.", words=wanted)
        problem.markdown(f":red[:material/error: {sorry}]")
    elif pressed:
        with st.spinner(tr("Deleting…")):
            st.session_state["receipt"] = studio.jobs.delete_all(user)
        for key in FORGOTTEN:
            st.session_state.pop(key, None)
        st.rerun()


def erased_words(receipt: ErasureReceipt) -> list[str]:
    """Returns the numbers of deleted records by kind; omits links and texts if there were none."""
    words = [
        tr_n("{count} job", "{count} jobs", receipt.jobs),
        tr_n("{count} picture", "{count} pictures", receipt.images),
    ]
    if receipt.shares:
        words.append(tr_n("{count} shared link", "{count} shared links", receipt.shares))
    if receipt.texts:
        words.append(
            tr_n("{count} list, template or star", "{count} lists, templates and stars", receipt.texts)
        )
    return words


def show_receipt(receipt: ErasureReceipt) -> None:
    """Shows how much was deleted; the caller has verified that nothing is left."""
    st.success(
        tr(
            "Deleted {things} and {objects} at {time} UTC. A second check found nothing left.",
            things=", ".join(erased_words(receipt)),
            objects=tr_n("{count} stored object", "{count} stored objects", receipt.objects),
            time=f"{receipt.completed_at:%H:%M:%S}",
        ),
        icon=":material/verified:",
    )
