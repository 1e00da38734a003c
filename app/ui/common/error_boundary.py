"""The error boundary of the pages: expected errors become banners, unexpected ones a reference to the log."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from app.ui.common.error_banner import show_error, show_unexpected
from services.errors import StudioError
from services.logs import event


@contextmanager
def error_boundary() -> Iterator[None]:
    """Shows an error where it occurred; the rest of the page continues."""
    try:
        yield
    except Exception as exc:  # noqa: BLE001 - the edge of the pages
        # Streamlit's own control flow (stop, rerun) does not derive from Exception and passes.
        show_uncaught(exc)


def show_uncaught(exc: Exception) -> bool:
    """Shows `exc` and logs it unless it is a StudioError. Returns True if Streamlit must not show it too."""
    if isinstance(exc, StudioError):
        show_error(exc)
        return True
    reference = secrets.token_hex(4)
    event("page_failed", level=logging.ERROR, exc=exc, reference=reference)
    show_unexpected(reference)
    return True
