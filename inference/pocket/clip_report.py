"""Reports the accuracy of pocket-clip: names of unseen pictures, and unseen texts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inference.pocket.clip import PocketClip
from inference.pocket.clip_text import Concepts, TextSide, worded_like
from inference.pocket.clip_training import CHECKED_STYLE, is_held_back, read_queries
from inference.pocket.colours import PALETTE
from inference.pocket.dataset import DataSet, Row
from inference.pocket.tower import SIDE_PX
from inference.pocket.tower_pictures import Drawings, Wear
from inference.pocket.variants import compose
from inference.pocket.words import Vectors

AUGMENTED = 1000
AUGMENTATION_SEED = 2**40
BATCH = 100
# The first recipe's test of text search: every fifth tag is unknown, on the held-back drawings.
TAGS_HELD_OUT, TAG_QUERIES_EACH = 0.2, 4


@dataclass(frozen=True)
class Figures:
    """How many queries were made, and how often the right answer came first and among the first five, 0 to 1."""

    asked: int
    first: float
    five: float

    def __str__(self) -> str:
        return f"top-1 {self.first:.0%}, top-5 {self.five:.0%} of {self.asked}"


def report_clip(clip: PocketClip, dataset: DataSet) -> list[str]:
    """Return the lines of the report: names, styles, text search; a minute on one CPU core."""
    held_back = [row for row in dataset.rows if is_held_back(row)]
    fresh = _fresh(dataset)
    unseen = clip.embed_images([_plain(dataset, row) for row in held_back])
    gallery_rows = [row for row in dataset.rows if row.style == CHECKED_STYLE]
    gallery = clip.embed_images([_plain(dataset, row) for row in gallery_rows])
    names = np.array([row.name for row in gallery_rows])
    queries = read_queries()
    answers, shown = list(queries.values()), clip.shares(gallery)
    honest = _side_without(clip.text, lambda tag: worded_like(tag, queries))
    styled = [clip.style(_plain(dataset, row)) for row in held_back]
    style = float(np.mean([max(found, key=lambda s: found[s]) == CHECKED_STYLE for found in styled]))
    count = len(clip.text.concepts.names)
    return [
        f"names of {count}, fresh augmentations (moved, mirrored, any background): "
        f"{_named(clip, clip.embed_images(_moved(dataset, fresh)), fresh)}",
        f"the same also recoloured, blurred, speckled: "
        f"{_named(clip, clip.embed_images(_worn(dataset, fresh)), fresh)}",
        f"names of {count}, drawings of a style ({CHECKED_STYLE}) held back of these things: "
        f"{_named(clip, unseen, held_back)}; style told right {style:.0%}",
        f"{len(queries)} free-text queries on all {CHECKED_STYLE} drawings, their wording held out: "
        f"{search_figures(honest.shares(list(queries)) @ shown.T, answers, names)}",
        f"the same with all tags, as shipped: "
        f"{search_figures(clip.search(list(queries), gallery), answers, names)}",
        f"the same by the cosine between embeddings alone: "
        f"{search_figures(clip.embed_texts(list(queries)) @ gallery.T, answers, names)}",
        f"tags held out as queries on drawings held back: {_unknown_tags(clip, unseen, held_back)}",
    ]


def search_figures(scores: Vectors, answers: Sequence[Sequence[str]], names: npt.NDArray[np.str_]) -> Figures:
    """Return how often the best of `scores` (texts, pictures) show a right answer; `names` are what the pictures
    show.
    """
    found = np.argsort(-scores, axis=1)[:, :5]
    hits = np.array([[names[i] in right for i in best] for best, right in zip(found, answers, strict=True)])
    return Figures(len(hits), float(hits[:, 0].mean()), float(hits.any(1).mean()))


def _named(clip: PocketClip, pictures: Vectors, rows: Sequence[Row]) -> Figures:
    places = {name: place for place, name in enumerate(clip.text.concepts.names)}
    ranked = np.argsort(-(pictures @ clip.text.concepts.places.T), axis=1)[:, :5]
    hits = ranked == np.array([places[row.name] for row in rows])[:, None]
    return Figures(len(rows), float(hits[:, 0].mean()), float(hits.any(1).mean()))


def _fresh(dataset: DataSet) -> list[Row]:
    """Return a thousand of the drawings used in training, the same each time."""
    shown = [row for row in dataset.rows if not is_held_back(row)]
    chosen = np.random.default_rng(AUGMENTATION_SEED).choice(
        len(shown), min(AUGMENTED, len(shown)), replace=False
    )
    return [shown[i] for i in chosen]


def _moved(dataset: DataSet, rows: Sequence[Row]) -> list[npt.NDArray[np.uint8]]:
    """Return the drawings scaled and moved at random on a random background; mirrored where that is allowed."""
    rng = np.random.default_rng(AUGMENTATION_SEED)
    return [
        compose(
            dataset.images[row.index],
            SIDE_PX,
            str(rng.choice(list(PALETTE))),
            rng,
            moved=True,
            flip=row.may_flip and bool(rng.random() < 0.5),
        )
        for row in rows
    ]


def _worn(dataset: DataSet, rows: Sequence[Row]) -> list[npt.NDArray[np.uint8]]:
    """Return the drawings augmented as in training, with new random values: recolored, blurred, speckled."""
    drawings = Drawings(dataset, rows)
    found: list[npt.NDArray[np.uint8]] = []
    for start in range(0, len(rows), BATCH):
        places = np.arange(start, min(start + BATCH, len(rows)))
        pictures = drawings.batch(places, Wear(), AUGMENTATION_SEED + start)
        found += list(((pictures + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy())
    return found


def _unknown_tags(clip: PocketClip, pictures: Vectors, rows: Sequence[Row]) -> Figures:
    tags = sorted({tag for row in rows for tag in row.tags} - set(clip.text.concepts.names))
    held_out = frozenset(
        np.random.default_rng(0).permutation(tags)[: math.ceil(TAGS_HELD_OUT * len(tags))].tolist()
    )
    side = _side_without(clip.text, lambda tag: tag in held_out)
    queries = sorted({tag for row in rows for tag in row.tags[:TAG_QUERIES_EACH] if tag in held_out})
    answers = [[row.name for row in rows if query in row.tags] for query in queries]
    scores = side.shares(queries) @ clip.shares(pictures).T
    return search_figures(scores, answers, np.array([row.name for row in rows]))


def _side_without(side: TextSide, unwanted: Callable[[str], bool]) -> TextSide:
    known = side.concepts
    kept = tuple(tuple(tag for tag in tags if not unwanted(tag)) for tags in known.tags)
    return TextSide(side.words, Concepts(known.names, kept, known.places))


def _plain(dataset: DataSet, row: Row) -> npt.NDArray[np.uint8]:
    rng = np.random.default_rng(row.index)
    return compose(dataset.images[row.index], SIDE_PX, "white", rng, moved=False, flip=False)
