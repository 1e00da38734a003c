"""The session whose script runs in this thread. Only a private module has it: `st.context` has no session id.

Remove when `st.context` has the session's id (tests/ui/test_streamlit_internals.py).
"""

from __future__ import annotations

from streamlit.runtime.scriptrunner import get_script_run_ctx


def session_id() -> str | None:
    """Returns the id of the session whose script runs in this thread; None outside a script."""
    context = get_script_run_ctx(suppress_warning=True)
    return None if context is None else context.session_id
