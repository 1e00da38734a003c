"""Writes what a model knows into its folder, with the measured similarity below which a prompt counts as far.

Near texts are other words for known things (the paraphrases among the fixed prompts, the free-text queries); far texts
are prompts about things outside the data set, and nonsense. The threshold is found on one half of both and tested on
the other.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from inference.pocket.clip_text import Concepts, TextSide
from inference.pocket.clip_training import read_queries
from inference.pocket.errors import PocketError
from inference.pocket.folders import CLIP_WEIGHTS, HERE
from inference.pocket.known import FILE, Known
from inference.pocket.prompts import PARAPHRASE, QUESTIONS
from inference.pocket.words import WordsError

# Most prompts are near, so an unneeded hint disturbs more people than a missing one.
ALARM_WEIGHT = 2.0


@dataclass(frozen=True)
class Calibration:
    """`far_below` is found on one half of the texts; the rates, 0 to 1, are measured on the other half."""

    far_below: float
    false_alarms: float
    misses: float
    near: int
    far: int


def write_known(folder: Path, names: Sequence[str], words_folder: Path = CLIP_WEIGHTS) -> Calibration:
    """Write `known.json` beside the model's index: the names that the model draws, with the tags used in captions.

    Raises `PocketError` when pocket-clip's folder is not usable or does not know a name.
    """
    try:
        side = TextSide.open(words_folder)
    except WordsError as exc:
        raise PocketError(str(exc)) from exc
    tags = dict(zip(side.concepts.names, side.concepts.tags, strict=True))
    strange = sorted(set(names) - tags.keys())
    if strange:
        raise PocketError(f"pocket-clip does not know {', '.join(strange)}.")
    kept = tuple(name for name in side.concepts.names if name in set(names))
    nowhere = np.zeros((len(kept), 1), np.float32)
    things = TextSide(side.words, Concepts(kept, tuple(tags[name] for name in kept), nowhere))
    found = calibrate(Known(things, 0.0), frozenset(kept))
    listed = {
        "far_below": round(found.far_below, 3),
        "things": [{"name": name, "tags": tags[name]} for name in kept],
    }
    (folder / FILE).write_text(json.dumps(listed, separators=(",", ":")) + "\n", encoding="utf-8")
    return found


def calibrate(known: Known, names: Collection[str]) -> Calibration:
    """Return the threshold that separates near from far texts best, and its error rates."""
    near = [q.prompt for q in QUESTIONS if q.group == PARAPHRASE and set(q.things) & set(names)]
    near += [query for query, answers in read_queries().items() if set(answers) & set(names)]
    far = (HERE / "far_prompts.txt").read_text(encoding="utf-8").splitlines()
    if not near:
        raise PocketError("none of the paraphrases and queries is about a thing that the model draws.")
    alike = [np.array([known.nearest(text).likeness for text in texts]) for texts in (near, far)]
    found_near, found_far = (likeness[::2] for likeness in alike)
    tested_near, tested_far = (likeness[1::2] for likeness in alike)
    tried = np.unique(np.concatenate([found_near, found_far]))
    wrong = [ALARM_WEIGHT * (found_near < t).mean() + (found_far >= t).mean() for t in tried]
    best = float(tried[int(np.argmin(wrong))])
    # Halfway between the nearest texts on either side, so that the threshold equals neither.
    below = tried[tried < best]
    threshold = (best + float(below.max())) / 2 if len(below) else best
    return Calibration(
        threshold,
        float((tested_near < threshold).mean()),
        float((tested_far >= threshold).mean()),
        len(near),
        len(far),
    )
