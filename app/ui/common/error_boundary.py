"""The edge of the pages: expected errors become banners, unexpected ones a reference that the log knows."""

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
    """Shows what goes wrong inside where it went wrong; the rest of the page goes on."""
    try:
        yield
    except Exception as exc:  # noqa: BLE001 - the edge of the pages
        # Streamlit's own control flow (stop, rerun) does not derive from Exception and passes.
        show_uncaught(exc)


def show_uncaught(exc: Exception) -> bool:
    """Shows `exc` in words and logs it when it is no StudioError. True: Streamlit shows nothing of its own."""
    if isinstance(exc, StudioError):
        show_error(exc)
        return True
    reference = secrets.token_hex(4)
    event("page_failed", level=logging.ERROR, exc=exc, reference=reference)
    show_unexpected(reference)
    return True
