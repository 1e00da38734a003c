"""Whose script runs in this thread. Streamlit says so in a private module only: `st.context` has no id of the session.

It can go when `st.context` tells the session's id (tests/ui/test_streamlit_internals.py).
"""

from __future__ import annotations

from streamlit.runtime.scriptrunner import get_script_run_ctx


def session_id() -> str | None:
    """The id of the session whose script runs in this thread; None outside of a script."""
    context = get_script_run_ctx(suppress_warning=True)
    return None if context is None else context.session_id
