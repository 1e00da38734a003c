"""Gives the fragment that is running another interval. Streamlit lets only the run of what is around it do that.

Such a run is one of the whole page: ten times what a poll costs. It can go when a fragment can set its own `run_every`
(tests/ui/test_streamlit_internals.py).
"""

from __future__ import annotations

from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.scriptrunner_utils.script_run_context import ThreadState


def set_interval(interval_s: float) -> None:
    """Has the browser run the fragment that is running now at another interval from here on.

    Sends the message that a run of the whole page would send. Raises RuntimeError outside of a fragment.
    """
    context, fragment_id = get_script_run_ctx(), ThreadState.get().fragment_id
    if context is None or fragment_id is None:
        raise RuntimeError("Only a fragment that is running has an interval.")
    message = ForwardMsg()
    message.auto_rerun.interval = interval_s
    message.auto_rerun.fragment_id = fragment_id
    context.enqueue(message)
