"""Where a shared picture is found. Without Streamlit: the page behind the link has no session."""

from __future__ import annotations

SHARE_PATH = "/s/"


def share_url(public_url: str, token: str) -> str:
    """The address that is handed on."""
    return f"{public_url}{SHARE_PATH}{token}"
