"""The URL of a shared picture. Without Streamlit, because the share page has no session."""

from __future__ import annotations

SHARE_PATH = "/s/"


def share_url(public_url: str, token: str) -> str:
    """Returns the public URL of a share."""
    return f"{public_url}{SHARE_PATH}{token}"
