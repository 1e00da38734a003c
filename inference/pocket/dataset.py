"""The data set: every drawing and what it shows, built once into `<root>/dataset` and read from there."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from inference.pocket.colours import Tint, drawing_tint
from inference.pocket.errors import PocketError
from inference.pocket.names import read_concepts
from inference.pocket.render import find_icons, render_icons
from inference.pocket.sources import fetch_sources, read_sources

SIZE_PX = 128


@dataclass(frozen=True)
class Row:
    """One drawing of the data set: its index in the array, what it shows, and its source."""

    index: int
    concept: int
    style: str
    name: str
    group: str
    tags: tuple[str, ...]
    may_flip: bool
    tint: Tint
    package: str
    licence: str


@dataclass(frozen=True)
class DataSet:
    """`images`: uint8 (rows, 128, 128, 4), straight alpha, read from disk on demand."""

    rows: tuple[Row, ...]
    images: npt.NDArray[np.uint8]

    def select(self, styles: frozenset[str], names: frozenset[str] | None) -> list[Row]:
        """Return the rows of these styles and, unless `names` is None, of these names."""
        return [r for r in self.rows if r.style in styles and (names is None or r.name in names)]


def build_dataset(root: Path, report: Callable[[str], None]) -> DataSet:
    """Fetch the packages, render every icon, and write `<root>/dataset`; takes minutes and about 0.9 GB of disk.

    Raises `PocketError` when a package cannot be fetched, verified, or rendered.
    """
    started = time.monotonic()
    folders = fetch_sources(root)
    concepts = read_concepts(folders)
    icons = [
        icon
        for source in read_sources()
        if source.kind == "pictures"
        for icon in find_icons(concepts, source, folders[source.package])
    ]
    report(f"{len(concepts)} things, {len(icons)} icons to draw")
    rows: list[Row] = []
    drawings: list[npt.NDArray[np.uint8]] = []
    for icon, drawing in render_icons(icons, SIZE_PX):
        concept = icon.concept
        rows.append(
            Row(
                index=len(rows),
                concept=concept.number,
                style=str(icon.source.style),
                name=concept.name,
                group=concept.group,
                tags=concept.tags,
                may_flip=concept.may_flip,
                tint=drawing_tint(drawing),
                package=icon.source.package,
                licence=icon.source.licence,
            )
        )
        drawings.append(drawing)
    folder = root / "dataset"
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "images.npy", np.stack(drawings))
    with (folder / "rows.jsonl").open("w", encoding="utf-8") as out:
        for row in rows:
            out.write(json.dumps(asdict(row), ensure_ascii=False) + "\n")
    styles = ", ".join(f"{style} {count}" for style, count in sorted(Counter(r.style for r in rows).items()))
    report(f"{len(rows)} drawings ({styles}) in {time.monotonic() - started:.0f} s: {folder}")
    return load_dataset(root)


def load_dataset(root: Path) -> DataSet:
    """Return the data set under `root`. Raises `PocketError` when it has not been built."""
    folder = root / "dataset"
    try:
        lines = (folder / "rows.jsonl").read_text(encoding="utf-8").splitlines()
        images = np.load(folder / "images.npy", mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise PocketError(f"{folder} has no data set; `python -m inference.pocket data` builds it.") from None
    rows = tuple(_row(json.loads(line)) for line in lines)
    if len(rows) != len(images):
        raise PocketError(
            f"{folder}: {len(rows)} rows but {len(images)} drawings; the build was cut short. Build it again."
        )
    return DataSet(rows, images)


def _row(fields: dict[str, Any]) -> Row:
    return Row(**{**fields, "tags": tuple(fields["tags"]), "tint": Tint(**fields["tint"])})
