"""Watches for the tests: they note what a model tells while it draws."""

from __future__ import annotations

from collections.abc import Callable

from inference.pipelines.family import Pixels


class Onlooker:
    """Notes the steps and takes a preview at every step, at one step (`preview_at`), or never (0)."""

    def __init__(self, preview_at: int | None = 0) -> None:
        self.steps: list[int] = []
        self.previews: list[Pixels] = []
        self._preview_at = preview_at

    def on_step(self, step: int, preview: Callable[[], Pixels]) -> None:
        """Note one step."""
        self.steps.append(step)
        if self._preview_at in (None, step):
            self.previews.append(preview())
