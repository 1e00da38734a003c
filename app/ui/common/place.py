"""A placeholder on a page that is filled later in the same run."""

from __future__ import annotations

from typing import Protocol


class Place(Protocol):
    """The methods needed of what `st.empty` and `st.container` return."""

    def caption(self, body: str) -> object:
        """Fills the placeholder with a caption."""

    def markdown(self, body: str) -> object:
        """Fills the placeholder with a Markdown paragraph."""
