"""Sets options of Streamlit's server from the settings; the public `st.set_option` refuses them.

Remove when `st.App` or `st.set_option` accepts server options (tests/ui/test_streamlit_internals.py).
"""

from __future__ import annotations

from streamlit import config


def pin_server_option(name: str, value: object) -> None:
    """Sets `server.<name>` for this process, overriding files and environment. Call before the server starts."""
    config.set_option(f"server.{name}", value)
