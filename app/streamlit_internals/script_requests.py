"""When a request for a run of a page may cut short the run that goes on: never when a press would be lost.

Streamlit hands a press (of a button, or of something in a component) to one run only, and ends that run at its next
`st.` call or look into the session as soon as the browser asks for another. So a click soon after a click took its
effect from the first: a star that was not kept, a job that was not sent. With `runner.fastReruns` off all requests of
a session go to one runner, and these say when it turns to the next.

It can go when Streamlit brings a run that carries a press to its end (tests/unit/test_script_requests.py).

A request also tells the address as the browser knew it. One that was sent before the run before it changed the address
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

# So many wait for their turn; what comes then is folded into the last, as Streamlit has it.
MOST_WAITING = 50

# A browser has learnt of a change of the address this long after the run that made it.
KNOWN_AFTER_S = 1.0
MOST_SESSIONS = 1000


@dataclass(frozen=True)
class Address:
    """The query string of a page as a session's last request told it, and as the run of that request left it."""

    page: str
    told: str
    left: str
    left_at: float


_addresses: OrderedDict[str, Address] = OrderedDict()
_addresses_lock = threading.Lock()


class PatientRequests(ScriptRequests):
    """The requests of one runner. A run that carries a press comes to its end first, and every run's callbacks do.

    Each press gets a run of its own, in their order and with the values of its time: Streamlit would have a newer press
    in a component replace the one that waits, and send the words that were typed after the press.
    What the run itself asks for (`st.rerun`, `st.switch_page`) and a stop end it at once, as ever.
    """

    def __init__(self) -> None:
        super().__init__()
        self._runner: int | None = None
        # Of the run that goes on; only its own thread reads and writes these.
        self._page = ""
        self._pressed = False
        self._in_callbacks = False
        self._asked_by_run = False
        # The query string as the browser told it for this run; None before the first.
        self._told: str | None = None
        # What comes after the request that Streamlit's class holds. By its lock.
        self._later: deque[RerunData] = deque()

    def on_scriptrunner_ready(self) -> ScriptRequest:
        """The next run, or the end. Called by the runner's thread between runs."""
        self._runner = threading.get_ident()
        return self._begin(super().on_scriptrunner_ready())

    def on_scriptrunner_yield(self) -> ScriptRequest | None:
        """What ends the run that goes on, None while nothing does. Called by the runner's thread, very often."""
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
        """Notes what the run of `request`, which begins now, carries, and has the next one wait."""
        context = get_script_run_ctx(suppress_warning=True)
        if context is not None and self._told is not None:
            _leave(
                context.session_id, Address(self._page, self._told, context.query_string, time.monotonic())
            )
        if request.type is ScriptRequestType.RERUN:
            data = request.rerun_data
            # What a run asks for itself it sends from the address that it has made.
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
        """Folds a request into the one that waits, or has it wait behind it."""
        if threading.get_ident() == self._runner:
            self._asked_by_run = True
            # Of two ways to another page the person's counts.
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
    """The query string that a request means: what the run before left, when the browser had not learnt of it."""
    with _addresses_lock:
        last = _addresses.get(session_id)
    if last is None or data.is_history_navigation or data.page_script_hash != last.page:
        return data.query_string
    stale = data.query_string == last.told and time.monotonic() - last.left_at < KNOWN_AFTER_S
    return last.left if stale else data.query_string


def carries_press(data: RerunData) -> bool:
    """Whether something was pressed, which the browser tells only once; what has a value it tells every time."""
    return any(
        _has_active_trigger_value(state)
        for states in (data.widget_states, data.replay_trigger_states)
        if states is not None
        for state in states.widgets
    )


def install() -> None:
    """Has every runner that Streamlit starts from here on decide so."""
    script_runner.ScriptRequests = PatientRequests  # type: ignore[attr-defined]
