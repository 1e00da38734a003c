"""Tests of which rerun requests interrupt a running script; the runner is this thread, the browser another."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from uuid import uuid4

import pytest
from streamlit.proto.WidgetStates_pb2 import WidgetState, WidgetStates
from streamlit.runtime.scriptrunner import script_runner
from streamlit.runtime.scriptrunner_utils.script_requests import RerunData, ScriptRequests, ScriptRequestType
from streamlit.runtime.scriptrunner_utils.script_run_context import ScriptRunContext

from app.streamlit_internals import script_requests
from app.streamlit_internals.script_requests import MOST_WAITING, PatientRequests, carries_press

TRIGGERS = ("trigger_value", "json_trigger_value")
HERE, THERE = "page-1", "page-2"


class Runner:
    """A runner's request queue, and a browser that sends requests from another thread."""

    browser = ThreadPoolExecutor(1)

    def __init__(self, requests: ScriptRequests) -> None:
        self.requests = requests

    def ask(
        self,
        *states: WidgetState,
        page: str = HERE,
        fragment: str | None = None,
        address: str = "",
        back: bool = False,
    ) -> None:
        data = RerunData(
            widget_states=WidgetStates(widgets=states),
            page_script_hash=page,
            fragment_id=fragment,
            query_string=address,
            is_history_navigation=back,
        )
        assert self.browser.submit(self.requests.request_rerun, data).result() is True

    def begin(self) -> RerunData | None:
        request = self.requests.on_scriptrunner_ready()
        return request.rerun_data if request.type is ScriptRequestType.RERUN else None

    def cut_short(self) -> RerunData | None:
        """Return the request that a session access or `st.` call in the running script would be interrupted by."""
        request = self.requests.on_scriptrunner_yield()
        return None if request is None else request.rerun_data


@pytest.fixture
def runner() -> Runner:
    return Runner(PatientRequests())


def button() -> WidgetState:
    return WidgetState(id="send", trigger_value=True)


def act(value: object) -> WidgetState:
    return WidgetState(id="grid", json_trigger_value=json.dumps(value))


def pressed(data: RerunData | None) -> list[str]:
    assert data is not None
    states = data.widget_states.widgets if data.widget_states else ()
    return [str(getattr(state, kind)) for state in states if (kind := state.WhichOneof("value")) in TRIGGERS]


def test_a_run_with_a_button_press_finishes_before_the_next_begins(runner: Runner) -> None:
    runner.ask(button())
    assert pressed(runner.begin()) == ["True"]
    runner.ask(WidgetState(id="show", string_value="Favorites"))
    assert runner.cut_short() is None
    after = runner.begin()
    assert after is not None and after.widget_states is not None
    assert [state.string_value for state in after.widget_states.widgets] == ["Favorites"]
    assert runner.begin() is None


def test_streamlits_request_queue_interrupts_a_run_with_a_button_press() -> None:
    """Guards the reason for PatientRequests: if Streamlit fixes this, this file can be removed."""
    runner = Runner(ScriptRequests())
    runner.ask(button())
    runner.begin()
    runner.ask(WidgetState(id="show", string_value="Favorites"))
    after = runner.cut_short()
    assert after is not None and not carries_press(after)


def test_a_press_followed_by_another_change_is_not_lost(runner: Runner) -> None:
    runner.ask(WidgetState(id="show", string_value="All"))
    runner.begin()
    runner.ask(button())
    runner.ask(WidgetState(id="show", string_value="Favorites"))
    assert pressed(runner.cut_short()) == ["True"]
    assert runner.cut_short() is None
    assert pressed(runner.begin()) == []


def test_callbacks_finish_in_a_run_without_a_press(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    context = ScriptRunContext("", lambda _: None, "", None, None, "", {}, None, None)  # type: ignore[arg-type]
    monkeypatch.setattr(script_requests, "get_script_run_ctx", lambda **_: context)
    runner.ask(WidgetState(id="rating", int_value=4))
    runner.begin()
    runner.ask(WidgetState(id="rating", int_value=5))
    assert runner.cut_short() is None
    context.on_script_start()
    assert runner.cut_short() is not None


def test_text_typed_after_a_press_is_not_merged_into_its_run(runner: Runner) -> None:
    runner.ask(page=HERE)
    runner.ask(WidgetState(id="prompt", string_value="an apple"), button())
    runner.ask(WidgetState(id="prompt", string_value="a pear"))
    first, second = runner.begin(), runner.begin()
    assert first is not None and second is not None
    values = [data.widget_states.widgets[0].string_value for data in (first, second) if data.widget_states]
    assert values == ["an apple", "a pear"]


def test_each_press_in_a_component_gets_its_own_run_in_order(runner: Runner) -> None:
    for n in range(4):
        runner.ask(act({"star": n}))
    runner.ask(WidgetState(id="show", string_value="Favorites"))
    runs = []
    while (data := runner.begin()) is not None:
        runs.append(pressed(data))
        assert runner.cut_short() is None or not carries_press(data)
    assert runs == [*([f'{{"star": {n}}}'] for n in range(4)), []]


def test_the_number_of_waiting_presses_is_bounded(runner: Runner) -> None:
    for n in range(3 * MOST_WAITING):
        runner.ask(act(n + 1))
    runs = 0
    last: list[str] = []
    while (data := runner.begin()) is not None:
        runs, last = runs + 1, pressed(data)
    assert runs == MOST_WAITING + 1
    assert last == [str(3 * MOST_WAITING)]


def test_a_rerun_requested_by_the_script_ends_it_at_once_and_includes_waiting_presses(
    runner: Runner,
) -> None:
    runner.ask(button())
    runner.begin()
    runner.ask(act("later"))
    runner.requests.request_rerun(RerunData(page_script_hash=HERE))
    assert pressed(runner.cut_short()) == ['"later"']
    assert runner.begin() is None


def test_a_rerun_requested_by_the_script_does_not_undo_a_page_change(runner: Runner) -> None:
    runner.ask(button())
    runner.begin()
    runner.ask(page=THERE)
    runner.requests.request_rerun(RerunData(page_script_hash=HERE))
    after = runner.cut_short()
    assert after is not None and after.page_script_hash == THERE


def test_a_run_without_a_press_is_interrupted_as_in_streamlit(runner: Runner) -> None:
    runner.ask(page=HERE)
    runner.begin()
    runner.ask(page=THERE)
    after = runner.cut_short()
    assert after is not None and after.page_script_hash == THERE


def test_a_stop_request_ends_the_run_and_discards_waiting_requests(runner: Runner) -> None:
    runner.ask(button())
    runner.begin()
    runner.ask(act("later"))
    runner.requests.request_stop()
    request = runner.requests.on_scriptrunner_yield()
    assert request is not None and request.type is ScriptRequestType.STOP
    assert runner.begin() is None


def test_polls_of_a_fragment_wait_as_in_streamlit(runner: Runner) -> None:
    runner.ask(page=HERE)
    runner.begin()
    runner.ask(fragment="live")
    assert runner.cut_short() is None
    after = runner.begin()
    assert after is not None and after.fragment_id_queue == ["live"]


def test_streamlits_script_runner_uses_patient_requests_once_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(script_runner, "ScriptRequests", ScriptRequests)
    script_requests.install()
    assert script_runner.ScriptRequests is PatientRequests


@pytest.fixture
def context(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The context of a new session; `query_string` is the query string that its last run left."""
    context = SimpleNamespace(session_id=uuid4().hex, query_string="", has_script_started=True)
    monkeypatch.setattr(script_requests, "get_script_run_ctx", lambda **_: context)
    return context


def address(data: RerunData | None) -> str:
    assert data is not None
    return data.query_string


def test_a_click_with_an_outdated_address_does_not_revert_the_address(
    runner: Runner, context: SimpleNamespace
) -> None:
    runner.ask(button(), address="image=1")
    assert address(runner.begin()) == "image=1"
    runner.ask(act("albums"), address="image=1")
    runner.ask(act("new"), address="image=1")
    context.query_string = ""
    assert address(runner.begin()) == ""
    context.query_string = "show=albums"
    assert address(runner.begin()) == "show=albums"
    # Also for a new runner, as Streamlit creates one for each series of runs.
    assert runner.begin() is None
    another = Runner(PatientRequests())
    another.ask(button(), address="image=1")
    assert address(another.begin()) == "show=albums"


def test_an_address_change_by_the_browser_is_kept(runner: Runner, context: SimpleNamespace) -> None:
    runner.ask(button(), address="image=1")
    runner.begin()
    context.query_string = "image=2"
    runner.ask(address="image=1", back=True)
    assert address(runner.begin()) == "image=1"
    runner.ask(address="image=1", page=THERE)
    assert address(runner.begin()) == "image=1"
    runner.ask(address="image=3", page=THERE)
    assert address(runner.begin()) == "image=3"


def test_an_old_address_counts_once_the_browser_had_time_to_learn_the_new_one(
    runner: Runner, context: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner.ask(button())
    runner.begin()
    context.query_string = "job=1"
    assert runner.begin() is None
    monkeypatch.setattr(script_requests, "KNOWN_AFTER_S", 0.0)
    another = Runner(PatientRequests())
    another.ask(button())
    assert address(another.begin()) == ""


def test_the_number_of_remembered_session_addresses_is_bounded(context: SimpleNamespace) -> None:
    for n in range(script_requests.MOST_SESSIONS + 5):
        context.session_id = f"session {n}"
        runner = Runner(PatientRequests())
        runner.ask()
        runner.begin()
        runner.begin()
    assert len(script_requests._addresses) == script_requests.MOST_SESSIONS
