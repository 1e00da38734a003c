"""Errors in words: what was wrong, and what helps."""

from __future__ import annotations

import streamlit as st

from app.i18n.texts import tr, tr_sentence
from app.i18n.wording import duration
from app.ui.common.plain_text import as_label
from services.errors import Conflict, LimitReached, Moderated, NotFound, StudioError

LONGEST_MESSAGE = 600


def in_words(error: StudioError) -> str:
    """The error's own sentence, safe to show as a label, with when to try again where that helps."""
    words = as_label(tr_sentence(error.message), LONGEST_MESSAGE)
    if isinstance(error, Moderated):
        words += " " + tr(
            "\\({category}, rule {rule}\\)", category=as_label(tr(error.category)), rule=as_label(error.rule)
        )
    wait_s = getattr(error, "retry_after_s", None)
    if wait_s:
        words += " " + tr("Try again in {time}.", time=duration(wait_s))
    elif error.retryable:
        words += " " + tr("Trying again may help.")
    return words


def show_error(error: StudioError) -> None:
    """A banner for an expected failure: ours and what passes in red, limits and states in yellow."""
    if isinstance(error, LimitReached):
        st.warning(in_words(error), icon=":material/speed:")
    elif isinstance(error, NotFound | Conflict):
        st.warning(in_words(error), icon=":material/info:")
    else:
        st.error(in_words(error), icon=":material/error:")


def show_unexpected(reference: str) -> None:
    """A banner for a failure of ours; the reference finds it in the log."""
    st.error(
        tr(
            "Something went wrong on our side. Nothing was charged for it. Reference: `{reference}`",
            reference=reference,
        ),
        icon=":material/error:",
    )
