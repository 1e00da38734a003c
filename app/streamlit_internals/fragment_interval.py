"""Changes the interval of the running fragment. Streamlit only lets a run of the enclosing script do that.

Such a run redraws the whole page and costs ten times a poll. Remove when a fragment can set its own `run_every`
(tests/ui/test_streamlit_internals.py).
"""

from __future__ import annotations

from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.scriptrunner_utils.script_run_context import ThreadState


def set_interval(interval_s: float) -> None:
    """Makes the browser rerun the current fragment at another interval from now on.

    Sends the message that a run of the whole page would send. Raises RuntimeError outside a fragment.
    """
    context, fragment_id = get_script_run_ctx(), ThreadState.get().fragment_id
    if context is None or fragment_id is None:
        raise RuntimeError("Only a fragment that is running has an interval.")
    message = ForwardMsg()
    message.auto_rerun.interval = interval_s
    message.auto_rerun.fragment_id = fragment_id
    context.enqueue(message)
