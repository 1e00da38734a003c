"""A place on a page that is kept free, and filled later in the same run."""

from __future__ import annotations

from typing import Protocol


class Place(Protocol):
    """What is asked of what `st.empty` and `st.container` return."""

    def caption(self, body: str) -> object:
        """Fills it with a caption."""

    def markdown(self, body: str) -> object:
        """Fills it with a paragraph of markdown."""
