"""Uploaded files: removed from Streamlit's memory as soon as they are read.

Streamlit keeps them for the whole session. Remove when it drops a file whose uploader is no longer drawn
(tests/ui/test_streamlit_internals.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.typing import UploadedFile

ENDINGS = ("png", "jpg", "jpeg", "webp")


def uploader_key(name: str) -> str:
    """Returns the current key of that uploader: each file gets a new key, because an uploader cannot be cleared."""
    return f"{name}_{st.session_state.setdefault(_counter(name), 0)}"


@contextmanager
def taken(name: str) -> Iterator[bytes | None]:
    """Returns the uploaded bytes, or None, and removes them from memory."""
    file = st.session_state.get(uploader_key(name))
    if not isinstance(file, UploadedFile):
        yield None
        return
    try:
        yield file.getvalue()
    finally:
        st.session_state[_counter(name)] += 1
        context = get_script_run_ctx()
        if context is not None and isinstance(context.uploaded_file_mgr, MemoryUploadedFileManager):
            context.uploaded_file_mgr.remove_file(session_id=context.session_id, file_id=file.file_id)


def _counter(name: str) -> str:
    return f"{name}_number"
