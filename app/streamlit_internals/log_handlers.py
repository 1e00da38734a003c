"""Sends the messages of Streamlit and its server to the studio's log instead of raw to standard error.

Streamlit 1.67 gives each of its loggers a handler of its own, also later; its messages include what strangers put into
URLs (`/oauth2callback?error_description=...`). Remove when it leaves logging to the application
(tests/ui/test_log_handlers.py).
"""

from __future__ import annotations

import logging

from streamlit import logger as streamlit_logger


def install() -> None:
    """Makes Streamlit's present and future loggers pass their messages on to the root logger."""
    streamlit_logger.setup_formatter = pass_on
    streamlit_logger.update_formatter()


def pass_on(logger: logging.Logger) -> None:
    """Removes the handlers of a logger, so that the root logger's are used."""
    logger.handlers[:] = []
    logger.propagate = True
