"""Shows for each use of Streamlit's private API that stock Streamlit still needs it; a failure means it can go.

A test here that fails after an upgrade says that Streamlit has mended it: use what it offers, and delete ours. The
others are in test_theme_message.py, test_hosting.py (the inline script) and tests/unit/test_script_requests.py.
"""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import streamlit as st
from streamlit.errors import StreamlitAPIException
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.scriptrunner_utils.script_run_context import ScriptRunContext
from streamlit.runtime.uploaded_file_manager import UploadedFileRec
from streamlit.testing.v1 import AppTest

from app.streamlit_internals.script_context import session_id
from app.streamlit_internals.server_options import pin_server_option
from tests.ui.conftest import TIMEOUT_S


def test_a_script_cannot_ask_whose_session_it_runs_in() -> None:
    """script_context.py"""
    offered = {*dir(st), *dir(st.context), *dir(st.user)}
    assert not [name for name in offered if "session" in name and name != "session_state"]


def test_ours_can_and_says_so_outside_of_a_script() -> None:
    def script() -> None:
        import streamlit as st

        from app.streamlit_internals.script_context import session_id

        st.text(session_id())

    assert session_id() is None
    at = AppTest.from_function(script, default_timeout=TIMEOUT_S).run()
    assert at.text[0].value not in ("", "None")


@pytest.mark.parametrize("name", ["cookieSecret", "allowedHosts"])
def test_options_of_the_server_cannot_be_set_by_a_public_call(name: str) -> None:
    """server_options.py"""
    before = st.get_option(f"server.{name}")
    with pytest.raises(StreamlitAPIException):
        st.set_option(f"server.{name}", before)
    assert "config" not in inspect.signature(st.App).parameters


def test_ours_sets_them() -> None:
    before = st.get_option("server.allowedHosts")
    try:
        pin_server_option("allowedHosts", ["studio.example"])
        assert st.get_option("server.allowedHosts") == ["studio.example"]
    finally:
        pin_server_option("allowedHosts", before)


def test_a_fragment_cannot_give_itself_another_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    """fragment_interval.py"""
    told: list[tuple[str, float]] = []
    enqueue = ScriptRunContext.enqueue

    def listen(context: ScriptRunContext, message: ForwardMsg) -> None:
        if message.HasField("auto_rerun"):
            told.append((message.auto_rerun.fragment_id, message.auto_rerun.interval))
        enqueue(context, message)

    monkeypatch.setattr(ScriptRunContext, "enqueue", listen)

    def script() -> None:
        import streamlit as st

        def look() -> None:
            # The only public way: the same function as a fragment of another interval, from inside its run.
            if not st.session_state.get("asked"):
                st.session_state["asked"] = True
                st.fragment(look, run_every=2)()

        st.fragment(look, run_every=1)()

    at = AppTest.from_function(script, default_timeout=TIMEOUT_S).run()
    assert not at.exception
    (outer, first), *others = told
    assert first == 1
    # What it makes is another fragment inside the first, which goes on at its old pace.
    assert [(fragment == outer, interval) for fragment, interval in others] == [(False, 2)]
    for function in (st.rerun, st.stop):
        assert "run_every" not in inspect.signature(function).parameters


def test_a_file_whose_uploader_is_gone_stays_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """uploads.py"""
    stores: list[MemoryUploadedFileManager] = []
    add = MemoryUploadedFileManager.add_file

    def noted(store: MemoryUploadedFileManager, session_id: str, file: UploadedFileRec) -> None:
        add(store, session_id, file)
        stores.append(store)

    monkeypatch.setattr(MemoryUploadedFileManager, "add_file", noted)

    def script() -> None:
        import streamlit as st

        number = st.session_state.setdefault("number", 0)
        file = st.file_uploader("A file", key=f"file_{number}")
        if file is not None:
            file.getvalue()
            file.close()
            st.session_state["number"] += 1
            st.rerun()

    at = AppTest.from_function(script, default_timeout=TIMEOUT_S).run()
    at.file_uploader[0].set_value(("one.png", b"bytes", "image/png")).run()
    at.run()
    assert at.session_state["number"] == 1 and not at.exception
    assert [rec.data for rec in kept(stores[0])] == [b"bytes"]


def kept(store: MemoryUploadedFileManager) -> list[Any]:
    """The files in memory, of all sessions."""
    return [file for files in store.file_storage.values() for file in files.values()]
