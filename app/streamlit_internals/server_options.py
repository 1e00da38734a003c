"""Sets options of Streamlit's server from our settings. Its public `st.set_option` refuses these.

It can go when `st.App` or `st.set_option` takes options of the server (tests/ui/test_streamlit_internals.py).
"""

from __future__ import annotations

from streamlit import config


def pin_server_option(name: str, value: object) -> None:
    """Sets `server.<name>` for this process, whatever the files and the environment say. Before the server starts."""
    config.set_option(f"server.{name}", value)
