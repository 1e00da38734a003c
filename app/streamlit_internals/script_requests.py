"""Decides when a rerun request may interrupt the current run: never if a click would be lost.

Streamlit passes a click (on a button or in a component) to one run only, and stops that run at its next
`st.` call or session access as soon as the browser requests another run. So a click soon after another one lost
the effect of the first: a star was not stored, a job not sent. With `runner.fastReruns` off, all requests of
a session go to one runner, and this module decides when it starts the next one.

Remove when Streamlit completes a run that carries a click (tests/unit/test_script_requests.py).

A request also carries the browser's URL. A request that was sent before the previous run changed the URL
(closed a picture, named a job) must not change it back.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from dataclasses import dataclass, replace

from streamlit.runtime.scriptrunner import get_script_run_ctx, script_runner
from streamlit.runtime.scriptrunner_utils.script_requests import (
    RerunData,
    ScriptRequest,
    ScriptRequests,
    ScriptRequestType,
    _has_active_trigger_value,
)

# The most waiting requests; further ones are merged into the last, as Streamlit does.
MOST_WAITING = 50

# This long after a run, the browser knows the URL that the run has set.
KNOWN_AFTER_S = 1.0
MOST_SESSIONS = 1000


@dataclass(frozen=True)
class Address:
    """A page's query string as sent by the session's last request, and as left by the run of that request."""

    page: str
    told: str
    left: str
    left_at: float


_addresses: OrderedDict[str, Address] = OrderedDict()
_addresses_lock = threading.Lock()


class PatientRequests(ScriptRequests):
    """The requests of one runner. A run that carries a click always completes, and so do the callbacks of every run.

    Each click gets its own run, in order and with the widget values at its time: in Streamlit, a newer click
    in a component would replace the waiting one and include text typed after the click.
    `st.rerun`, `st.switch_page`, and a stop still end a run immediately.
    """

    def __init__(self) -> None:
        super().__init__()
        self._runner: int | None = None
        # State of the current run; only its own thread uses it.
        self._page = ""
        self._pressed = False
        self._in_callbacks = False
        self._asked_by_run = False
        # The query string that the browser sent for this run; None before the first.
        self._told: str | None = None
        # The requests after the one that Streamlit's class holds. Guarded by its lock.
        self._later: deque[RerunData] = deque()

    def on_scriptrunner_ready(self) -> ScriptRequest:
        """Returns the next run, or the end. Called by the runner's thread between runs."""
        self._runner = threading.get_ident()
        return self._begin(super().on_scriptrunner_ready())

    def on_scriptrunner_yield(self) -> ScriptRequest | None:
        """Returns what ends the current run, or None. Called very often by the runner's thread."""
        if self._state is not ScriptRequestType.RERUN:
            return super().on_scriptrunner_yield()
        if self._in_callbacks:
            context = get_script_run_ctx(suppress_warning=True)
            self._in_callbacks = context is not None and not context.has_script_started
        if (self._pressed or self._in_callbacks) and not self._asked_by_run:
            return None
        request = super().on_scriptrunner_yield()
        return None if request is None else self._begin(request)

    def _begin(self, request: ScriptRequest) -> ScriptRequest:
        """Records what the run of `request`, which starts now, carries, and makes the next one wait."""
        context = get_script_run_ctx(suppress_warning=True)
        if context is not None and self._told is not None:
            _leave(
                context.session_id, Address(self._page, self._told, context.query_string, time.monotonic())
            )
        if request.type is ScriptRequestType.RERUN:
            data = request.rerun_data
            # A rerun requested by the run itself already has the URL that the run has set.
            if context is not None and not self._asked_by_run:
                self._told = data.query_string
                data = replace(data, query_string=_meant(context.session_id, data))
                request = ScriptRequest(ScriptRequestType.RERUN, data)
            self._page = data.page_script_hash
            self._pressed = carries_press(data)
            self._in_callbacks = data.widget_states is not None
            self._asked_by_run = False
            with self._lock:
                if self._later and self._state is not ScriptRequestType.STOP:
                    if self._state is ScriptRequestType.RERUN:
                        self._later.append(self._rerun_data)
                    self._state, self._rerun_data = ScriptRequestType.RERUN, self._later.popleft()
        return request

    def _request_rerun_locked(self, new_data: RerunData) -> bool:
        """Merges a request into the waiting one, or queues it behind."""
        if threading.get_ident() == self._runner:
            self._asked_by_run = True
            # If both the run and the user switch pages, the user's choice wins.
            return self._leads_away() or super()._request_rerun_locked(new_data)
        if self._state is not ScriptRequestType.RERUN:
            return super()._request_rerun_locked(new_data)
        last = self._later[-1] if self._later else self._rerun_data
        if carries_press(last) and len(self._later) < MOST_WAITING:
            self._later.append(new_data)
            return True
        if not self._later:
            return super()._request_rerun_locked(new_data)
        first, self._rerun_data = self._rerun_data, self._later.pop()
        accepted = super()._request_rerun_locked(new_data)
        self._later.append(self._rerun_data)
        self._rerun_data = first
        return accepted

    def _leads_away(self) -> bool:
        waits = self._state is ScriptRequestType.RERUN and not self._rerun_data.fragment_id_queue
        return waits and self._rerun_data.page_script_hash != self._page


def _leave(session_id: str, address: Address) -> None:
    with _addresses_lock:
        _addresses[session_id] = address
        _addresses.move_to_end(session_id)
        while len(_addresses) > MOST_SESSIONS:
            _addresses.popitem(last=False)


def _meant(session_id: str, data: RerunData) -> str:
    """Returns a request's effective query string: the previous run's, if the browser did not know it yet."""
    with _addresses_lock:
        last = _addresses.get(session_id)
    if last is None or data.is_history_navigation or data.page_script_hash != last.page:
        return data.query_string
    stale = data.query_string == last.told and time.monotonic() - last.left_at < KNOWN_AFTER_S
    return last.left if stale else data.query_string


def carries_press(data: RerunData) -> bool:
    """Whether the request carries a click, which the browser sends only once; widget values come every time."""
    return any(
        _has_active_trigger_value(state)
        for states in (data.widget_states, data.replay_trigger_states)
        if states is not None
        for state in states.widgets
    )


def install() -> None:
    """Makes every runner that Streamlit starts from now on use these requests."""
    script_runner.ScriptRequests = PatientRequests  # type: ignore[attr-defined]
