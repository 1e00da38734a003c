"""Chooses the Idempotency-Key of a click, so that one click creates one job per prompt."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass

import streamlit as st

from services.records import JobRequest

# Shorter than the time between two deliberate clicks, longer than a double click.
DOUBLE_CLICK_S = 1.5


@dataclass(frozen=True)
class Attempt:
    """The last click: its requests, its key, and when it was answered (None: not yet, or with a retryable error)."""

    requests: tuple[JobRequest, ...]
    key: str
    answered_at: float | None = None


def key_for(last: Attempt | None, requests: tuple[JobRequest, ...], now: float) -> str:
    """Returns the key for a click at `now` (seconds of any monotonic clock).

    The same key as before while the same requests have no final answer (a lost answer must not become
    a second job, and a click that sent only some jobs is repeated for the others), and for the rest of a double
    click after it was; otherwise a new one.
    """
    if last is not None and last.requests == requests:
        unanswered = last.answered_at is None
        if unanswered or (last.answered_at is not None and now - last.answered_at < DOUBLE_CLICK_S):
            return last.key
    return secrets.token_hex(16)


def press_key(slot: str, request: JobRequest) -> str:
    """The key for a click on the button `slot` that sends `request`: the same for both clicks of a double click.

    Each separate click gets a new key, also after a failed one, which created nothing.
    """
    name = f"press_{slot}"
    now = time.monotonic()
    key = key_for(st.session_state.get(name), (request,), now)
    st.session_state[name] = Attempt((request,), key, answered_at=now)
    return key
