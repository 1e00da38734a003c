"""Watches that record what a model reports while it draws."""

from __future__ import annotations

from collections.abc import Callable

from inference.contract import Payload
from inference.pipelines.family import Drawing, Model, Pixels, StepWatch


class Onlooker:
    """Records the steps, and takes a preview at every step (None), at step `preview_at`, or never (0)."""

    def __init__(self, preview_at: int | None = 0) -> None:
        self.steps: list[int] = []
        self.previews: list[Pixels] = []
        self._preview_at = preview_at

    def on_step(self, step: int, preview: Callable[[int], Pixels]) -> frozenset[int]:
        """Record one step."""
        self.steps.append(step)
        if self._preview_at in (None, step):
            self.previews.append(preview(0))
        return frozenset()


def draw_alone(model: Model, payload: Payload, watch: StepWatch | None = None) -> Drawing:
    """Return the drawing of one request in its own pass."""
    drawing = model.draw([payload], watch or Onlooker())[0]
    assert drawing is not None
    return drawing
