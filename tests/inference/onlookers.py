"""Watches for the tests: they note what a model tells while it draws."""

from __future__ import annotations

from collections.abc import Callable

from inference.contract import Payload
from inference.pipelines.family import Drawing, Model, Pixels, StepWatch


class Onlooker:
    """Notes the steps and takes a preview at every step, at one step (`preview_at`), or never (0)."""

    def __init__(self, preview_at: int | None = 0) -> None:
        self.steps: list[int] = []
        self.previews: list[Pixels] = []
        self._preview_at = preview_at

    def on_step(self, step: int, preview: Callable[[int], Pixels]) -> frozenset[int]:
        """Note one step."""
        self.steps.append(step)
        if self._preview_at in (None, step):
            self.previews.append(preview(0))
        return frozenset()


def draw_alone(model: Model, payload: Payload, watch: StepWatch | None = None) -> Drawing:
    """Return what the model draws of one request in a pass of its own."""
    drawing = model.draw([payload], watch or Onlooker())[0]
    assert drawing is not None
    return drawing
