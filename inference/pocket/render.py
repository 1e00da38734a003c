"""Renders the icons of the unpacked packages, SVG and WebP, as RGBA arrays of one size."""

from __future__ import annotations

import importlib
import io
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from inference.pocket.colours import OPAQUE, Rgba
from inference.pocket.errors import PocketError
from inference.pocket.names import Concept
from inference.pocket.sources import Source

LEAST_COVER = 0.02


@dataclass(frozen=True)
class Icon:
    """One drawing to render: SVG text, or the path of a picture file."""

    concept: Concept
    source: Source
    svg: str | None = None
    file: Path | None = None


def find_icons(concepts: list[Concept], source: Source, folder: Path) -> list[Icon]:
    """Return the icons in a package of pictures for the concepts, in their order."""
    if (folder / "icons.json").exists():
        return _find_svg(concepts, source, folder)
    files = {path.stem: path for path in sorted((folder / "assets").glob("*.webp"))}
    found = (
        (concept, next((files[k] for k in concept.code_points() if k in files), None)) for concept in concepts
    )
    return [Icon(concept, source, file=file) for concept, file in found if file is not None]


def render_icons(icons: list[Icon], size_px: int) -> Iterator[tuple[Icon, Rgba]]:
    """Yield every icon with its drawing, uint8 (size_px, size_px, 4); empty drawings are left out.

    Raises `PocketError` naming the icon that cannot be rendered.
    """
    with ThreadPoolExecutor(2) as threads:
        for icon, drawing in zip(icons, threads.map(lambda i: _render(i, size_px), icons), strict=True):
            if (drawing[..., 3] > OPAQUE).mean() > LEAST_COVER:
                yield icon, drawing


def _find_svg(concepts: list[Concept], source: Source, folder: Path) -> list[Icon]:
    icons: dict[str, Any] = json.loads((folder / "icons.json").read_text(encoding="utf-8"))
    by_points: dict[str, str] = json.loads((folder / "chars.json").read_text(encoding="utf-8"))
    bodies, aliases = icons["icons"], icons.get("aliases", {})
    found = []
    for concept in concepts:
        key = next((by_points[k] for k in concept.code_points() if k in by_points), concept.slug)
        key = aliases.get(key, {}).get("parent", key)
        if key in bodies:
            found.append(Icon(concept, source, svg=_svg(bodies[key], icons)))
    return found


def _svg(icon: dict[str, Any], defaults: dict[str, Any]) -> str:
    height = icon.get("height", defaults.get("height", 16))
    width = icon.get("width", defaults.get("width", height))
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="0 0 {width} {height}" width="{width}" height="{height}">{icon["body"]}</svg>'
    )


def _render(icon: Icon, size_px: int) -> Rgba:
    try:
        image = _rasterise(icon.svg, 2 * size_px) if icon.svg is not None else _open(icon.file)
    except (OSError, ValueError) as exc:
        where = f"{icon.source.package} {icon.concept.name}"
        raise PocketError(
            f"{where} cannot be drawn: {exc}. Delete the package's folder and fetch again."
        ) from exc
    return np.asarray(image.resize((size_px, size_px), Image.Resampling.LANCZOS)).copy()


def _rasterise(svg: str, side_px: int) -> Image.Image:
    try:
        resvg = importlib.import_module("resvg_py")
    except ModuleNotFoundError:
        # Only building the data needs it; the container does not install it.
        raise PocketError(
            "resvg-py is not installed: `pip install -r inference/requirements-dev.txt`."
        ) from None
    png = resvg.svg_to_bytes(svg_string=svg, width=side_px, height=side_px)
    image = Image.open(io.BytesIO(bytes(png))).convert("RGBA")
    if image.size == (side_px, side_px):
        return image
    square = Image.new("RGBA", (side_px, side_px))
    square.paste(image, ((side_px - image.width) // 2, (side_px - image.height) // 2))
    return square


def _open(file: Path | None) -> Image.Image:
    if file is None:
        raise ValueError("neither SVG nor file")
    with Image.open(file) as image:
        return image.convert("RGBA")
