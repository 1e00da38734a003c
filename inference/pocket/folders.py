"""Paths of pocket's files: the shipped weights, and the work folder for data and checkpoints."""

from __future__ import annotations

import os
from pathlib import Path

HERE = Path(__file__).resolve().parent
WEIGHTS = HERE / "weights"
CLIP_WEIGHTS = HERE / "clip_weights"
DEFAULT_ROOT = Path("build/pocket")


def work_root(given: str | None) -> Path:
    """Return the work folder: `given`, else `POCKET_ROOT`, else `build/pocket` in the current folder."""
    return Path(given or os.environ.get("POCKET_ROOT") or DEFAULT_ROOT)
