"""Fixtures of pocket's tests: the shipped pipeline, its pictures, and a small data set of our own drawings."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from inference.pocket.colours import Rgb, Rgba, drawing_tint
from inference.pocket.dataset import SIZE_PX, DataSet, Row, load_dataset
from inference.pocket.folders import WEIGHTS
from inference.pocket.parts import open_pipeline
from inference.pocket.sheets import draw

PROMPTS = ("a red apple", "a rocket", "a grinning cat")
SHAPES = (("red disc", "red"), ("blue square", "blue"), ("green triangle", "green"))
INK = {"red": (220, 50, 47), "blue": (60, 120, 230), "green": (70, 170, 80)}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Draws with one thread: sums keep their order, and parallel workers do not compete for cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def pipe() -> Any:
    """The shipped weights, opened with stock diffusers."""
    return open_pipeline(WEIGHTS)


@pytest.fixture(scope="session")
def drawn(pipe: Any) -> dict[str, Rgb]:
    """The shipped weights' pictures of the three prompts, with the defaults of the model card."""
    torch.set_num_threads(1)
    return dict(zip(PROMPTS, draw(pipe, PROMPTS), strict=True))


@pytest.fixture(scope="session")
def shapes_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A work folder with a data set of three drawings in two styles."""
    root = tmp_path_factory.mktemp("pocket")
    folder = root / "dataset"
    folder.mkdir()
    rows: list[Row] = []
    drawings: list[Rgba] = []
    for style, margin in (("3d", 20), ("flat", 30)):
        for concept, (name, colour) in enumerate(SHAPES):
            drawing = shape(name, colour, margin)
            rows.append(
                Row(
                    len(rows),
                    concept,
                    style,
                    name,
                    "Shapes",
                    ("shape",),
                    True,
                    drawing_tint(drawing),
                    "ours",
                    "MIT",
                )
            )
            drawings.append(drawing)
    np.save(folder / "images.npy", np.stack(drawings))
    (folder / "rows.jsonl").write_text("".join(json.dumps(asdict(row)) + "\n" for row in rows))
    return root


@pytest.fixture
def shapes(shapes_root: Path) -> DataSet:
    """The data set of three drawings in two styles."""
    return load_dataset(shapes_root)


def shape(name: str, colour: str, margin: int) -> Rgba:
    """Draw one shape on a transparent background: uint8 (128, 128, 4)."""
    image = Image.new("RGBA", (SIZE_PX, SIZE_PX))
    pen = ImageDraw.Draw(image)
    near, far = margin, SIZE_PX - margin
    if name.endswith("disc"):
        pen.ellipse((near, near, far, far), fill=INK[colour])
    elif name.endswith("square"):
        pen.rectangle((near, near, far, far), fill=INK[colour])
    else:
        pen.polygon([(near, far), (far, far), (SIZE_PX // 2, near)], fill=INK[colour])
    return np.asarray(image).copy()
