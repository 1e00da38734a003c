"""Writes the folder that `PocketClip.open` reads: words, things, and tower."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import save_file

from inference.pocket.clip import CONFIG, TOWER
from inference.pocket.clip_fit import Fitted
from inference.pocket.clip_text import CONCEPTS, PLACES
from inference.pocket.clip_training import SHAPE, STYLES, ClipLearner, Knowledge
from inference.pocket.errors import PocketError
from inference.pocket.parts import folder_bytes, tidy_folder
from inference.pocket.tower import pack
from inference.pocket.words import Vectors
from inference.pocket.words_distil import save_words

# All shipped weights together are limited to 40 MB; this is what the pipeline leaves.
LARGEST_BYTES = 5_400_000
STEPS = 127


def write_clip(learner: ClipLearner, fitted: Fitted, knowledge: Knowledge, folder: Path) -> None:
    """Replace the folder atomically. Raises `PocketError` when it would be too large to ship."""
    fresh = folder.with_name(folder.name + ".partial")
    shutil.rmtree(fresh, ignore_errors=True)
    save_words(knowledge.words, fresh)
    _write_concepts(knowledge, fitted.places, fresh)
    weights = {f"tower.{name}": value for name, value in learner.tower.state_dict().items()}
    weights |= {
        "style.weight": torch.from_numpy(fitted.style_map[:, :-1]),
        "style.bias": torch.from_numpy(fitted.style_map[:, -1]),
    }
    save_file(pack(weights), fresh / TOWER)
    config = {"widths": SHAPE.widths, "outputs": SHAPE.outputs, "styles": STYLES, "scale": fitted.scale}
    (fresh / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    tidy_folder(fresh)
    size_bytes = folder_bytes(fresh)
    if size_bytes > LARGEST_BYTES:
        raise PocketError(f"{fresh} has {size_bytes:,} bytes; at most {LARGEST_BYTES:,} may be shipped.")
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)


def _write_concepts(knowledge: Knowledge, places: Vectors, folder: Path) -> None:
    spelled = list(dict.fromkeys(tag for tags in knowledge.tags for tag in tags))
    index = {tag: i for i, tag in enumerate(spelled)}
    listed = {
        "names": knowledge.names,
        "tags": spelled,
        "tags_of": [[index[tag] for tag in tags] for tags in knowledge.tags],
    }
    (folder / CONCEPTS).write_text(json.dumps(listed, separators=(",", ":")), encoding="utf-8")
    scales = (np.abs(places).max(1) / STEPS).astype(np.float16)
    steps = np.clip(np.rint(places / scales.astype(np.float32)[:, None]), -STEPS, STEPS).astype(np.int8)
    save_arrays({"places": steps, "scales": scales}, folder / PLACES)
