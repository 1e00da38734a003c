"""Finds Streamlit's HTML page: the content security policy must list the hash of its inline script.

Remove when that page has no inline script (tests/ui/test_hosting.py).
"""

from __future__ import annotations

from pathlib import Path

import streamlit


def index_page() -> Path:
    """The HTML file of the installed version."""
    return Path(streamlit.__file__).parent / "static" / "index.html"
