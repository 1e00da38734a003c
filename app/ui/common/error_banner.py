"""Shows errors: what is wrong and what to do about it."""

from __future__ import annotations

import streamlit as st

from app.i18n.texts import tr, tr_sentence
from app.i18n.wording import duration
from app.ui.common.plain_text import as_label
from services.errors import Conflict, LimitReached, Moderated, NotFound, StudioError

LONGEST_MESSAGE = 600


def in_words(error: StudioError) -> str:
    """Returns the error's message, escaped for a label, with the time to retry after if a retry helps."""
    words = as_label(tr_sentence(error.message), LONGEST_MESSAGE)
    if isinstance(error, Moderated):
        words += " " + tr(
            "\\({category}, rule {rule}\\)", category=as_label(tr(error.category)), rule=as_label(error.rule)
        )
    wait_s = getattr(error, "retry_after_s", None)
    if wait_s:
        words += " " + tr("Try again in {time}.", time=duration(wait_s))
    elif error.retryable:
        words += " " + tr("Try again.")
    return words


def show_error(error: StudioError) -> None:
    """Draws a banner for an expected error: red for server and transient errors, yellow for limits and states."""
    if isinstance(error, LimitReached):
        st.warning(in_words(error), icon=":material/speed:")
    elif isinstance(error, NotFound | Conflict):
        st.warning(in_words(error), icon=":material/info:")
    else:
        st.error(in_words(error), icon=":material/error:")


def show_unexpected(reference: str) -> None:
    """Draws a banner for an internal error, with the reference that identifies it in the log."""
    st.error(
        tr(
            "Something went wrong on our side. You were not charged. Reference: `{reference}`",
            reference=reference,
        ),
        icon=":material/error:",
    )
