"""Tests that each use of Streamlit's private API is still needed.

If a test fails after an upgrade, Streamlit has fixed the problem: use its API and remove the workaround. Similar tests
are in test_theme_message.py, test_hosting.py (the inline script) and tests/unit/test_script_requests.py.
"""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import streamlit as st
from streamlit.errors import StreamlitAPIException
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.runtime.forward_msg_cache import populate_hash_if_needed
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.scriptrunner_utils.script_run_context import ScriptRunContext
from streamlit.runtime.uploaded_file_manager import UploadedFileRec
from streamlit.testing.v1 import AppTest

from app.streamlit_internals.script_context import session_id
from app.streamlit_internals.server_options import pin_server_option
from tests.ui.conftest import TIMEOUT_S


def test_the_public_api_does_not_expose_the_session_id() -> None:
    """script_context.py"""
    offered = {*dir(st), *dir(st.context), *dir(st.user)}
    assert not [name for name in offered if "session" in name and name != "session_state"]


def test_session_id_returns_the_id_in_a_script_and_none_outside() -> None:
    def script() -> None:
        import streamlit as st

        from app.streamlit_internals.script_context import session_id

        st.text(session_id())

    assert session_id() is None
    at = AppTest.from_function(script, default_timeout=TIMEOUT_S).run()
    assert at.text[0].value not in ("", "None")


@pytest.mark.parametrize("name", ["cookieSecret", "allowedHosts"])
def test_server_options_cannot_be_set_through_the_public_api(name: str) -> None:
    """server_options.py"""
    before = st.get_option(f"server.{name}")
    with pytest.raises(StreamlitAPIException):
        st.set_option(f"server.{name}", before)
    assert "config" not in inspect.signature(st.App).parameters


def test_pin_server_option_sets_a_server_option() -> None:
    before = st.get_option("server.allowedHosts")
    try:
        pin_server_option("allowedHosts", ["studio.example"])
        assert st.get_option("server.allowedHosts") == ["studio.example"]
    finally:
        pin_server_option("allowedHosts", before)


def test_a_fragment_cannot_change_its_interval_through_the_public_api(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
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
            # The only public way: start the same function as a fragment with another interval from inside its run.
            if not st.session_state.get("asked"):
                st.session_state["asked"] = True
                st.fragment(look, run_every=2)()

        st.fragment(look, run_every=1)()

    at = AppTest.from_function(script, default_timeout=TIMEOUT_S).run()
    assert not at.exception
    (outer, first), *others = told
    assert first == 1
    # This creates a second fragment inside the first, which keeps its interval.
    assert [(fragment == outer, interval) for fragment, interval in others] == [(False, 2)]
    for function in (st.rerun, st.stop):
        assert "run_every" not in inspect.signature(function).parameters


def test_an_uploaded_file_stays_in_memory_after_its_uploader_is_removed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
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
    """Return the files of all sessions in memory."""
    return [file for files in store.file_storage.values() for file in files.values()]


def test_no_message_is_replaced_by_its_hash() -> None:
    message = ForwardMsg()
    message.delta.new_element.markdown.body = "x" * 5_000_000
    populate_hash_if_needed(message)
    assert not message.metadata.cacheable
