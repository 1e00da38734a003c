"""One press, one job: the Idempotency-Key of a button that sends a request."""

from __future__ import annotations

import time

import streamlit as st

from app.ui.common.idempotency import Attempt, key_for
from services.records import JobRequest


def press_key(slot: str, request: JobRequest) -> str:
    """The key for a press of the button `slot` that sends `request`: the same for both clicks of a double click.

    Each press of its own gets one of its own, also when the one before failed: nothing was made then.
    """
    name = f"press_{slot}"
    now = time.monotonic()
    key = key_for(st.session_state.get(name), (request,), now)
    st.session_state[name] = Attempt((request,), key, answered_at=now)
    return key
