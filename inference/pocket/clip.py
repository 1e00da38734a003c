"""pocket-clip: embeds pictures and texts in one space, to name pictures, tag them, and search them by words.

Opening it needs neither the teacher nor the network. `TextSide` alone (numpy) is enough for text-only queries.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file
from torch import nn

from inference.pocket.clip_text import TextSide
from inference.pocket.errors import PocketError
from inference.pocket.folders import CLIP_WEIGHTS
from inference.pocket.tower import Tower, TowerShape, unpack
from inference.pocket.tower_pictures import to_tensor
from inference.pocket.words import Vectors, WordsError, unit

TOWER, CONFIG = "tower.safetensors", "config.json"
BATCH = 64

Picture = npt.NDArray[np.uint8]
"""uint8 (height, width, 3); of any size, squares best: it is looked at as 64 x 64."""
Scored = list[tuple[str, float]]
"""Words with their scores, the best first."""


class PocketClip:
    """The image tower, the styles, and the text side of one folder. It is immutable after opening."""

    def __init__(
        self, text: TextSide, tower: Tower, style: nn.Linear, styles: Sequence[str], scale: float
    ) -> None:
        self.text = text
        self._tower, self._style = tower.eval(), style
        self._styles, self._scale = tuple(styles), scale

    @classmethod
    def open(cls, folder: Path = CLIP_WEIGHTS) -> PocketClip:
        """Read a folder. Raises `PocketError` naming the missing or broken file."""
        try:
            text = TextSide.open(folder)
            config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
            shape = TowerShape(tuple(config["widths"]), config["outputs"])
            weights = unpack(load_file(folder / TOWER))
            tower, style = Tower(shape), nn.Linear(shape.signs, len(config["styles"]))
            for module, prefix in ((tower, "tower."), (style, "style.")):
                module.load_state_dict(
                    {n.removeprefix(prefix): v for n, v in weights.items() if n.startswith(prefix)}
                )
        except WordsError as exc:
            raise PocketError(str(exc)) from exc
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as exc:
            raise PocketError(f"{folder} is not pocket-clip: {exc}") from exc
        return cls(text, tower, style, config["styles"], float(config["scale"]))

    def embed_images(self, pictures: Sequence[Picture]) -> Vectors:
        """Return the embeddings of pictures: float32 (n, d), unit length; 5-10 ms a picture on one CPU core."""
        found = [np.zeros((0, self.text.concepts.places.shape[1]), np.float32)]
        with torch.inference_mode():
            for start in range(0, len(pictures), BATCH):
                seen = to_tensor(pictures[start : start + BATCH])
                # Averaging with the mirror image is more accurate, but separates left from right arrows less.
                found.append((self._tower(seen) + self._tower(seen.flip(3))).numpy())
        return unit(np.concatenate(found))

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        """Return the embeddings of texts: float32 (n, d), unit length; zeros for a text without a known word."""
        return self.text.embed(texts)

    def names(self, picture: Picture, k: int = 5) -> Scored:
        """Return the k most likely names, with their probabilities."""
        shares = self._shares(picture)
        best = np.argsort(-shares)[:k]
        return [(self.text.concepts.names[i], float(shares[i])) for i in best]

    def tags(self, picture: Picture, k: int = 8) -> Scored:
        """Return the k most likely tags; a tag's probability is the sum over all things that have it."""
        shares = self._shares(picture)
        found: dict[str, float] = {}
        for share, tags in zip(shares.tolist(), self.text.concepts.tags, strict=True):
            for tag in tags:
                found[tag] = found.get(tag, 0.0) + share
        return sorted(found.items(), key=lambda item: -item[1])[:k]

    def style(self, picture: Picture) -> dict[str, float]:
        """Return the similarity of the picture's style to each known style; the values sum to 1."""
        with torch.inference_mode():
            _, signs = self._tower.features_and_signs(to_tensor([picture]))
            # Ridge regression can return negative shares.
            shares = self._style(signs)[0].clamp(min=0)
        return dict(zip(self._styles, (shares / shares.sum()).tolist(), strict=True))

    def likeness(self, first: Picture, second: Picture) -> float:
        """Return the similarity of what two pictures show, -1 to 1: the cosine of their embeddings."""
        one, other = self.embed_images([first, second])
        return float(one @ other)

    def search(self, texts: Sequence[str], image_embeddings: Vectors) -> Vectors:
        """Return the probability that text and picture show the same thing: float32 (texts, pictures), 0 to 1.

        More reliable than the cosine of the embeddings, because things that the picture does not show have no
        influence.
        """
        return np.asarray(self.text.shares(texts) @ self.shares(image_embeddings).T, np.float32)

    def shares(self, image_embeddings: Vectors) -> Vectors:
        """Return the probability of each thing for picture embeddings: float32 (pictures, things); each row sums to
        1.
        """
        scores = self._scale * (image_embeddings @ self.text.concepts.places.T)
        shares = np.exp(scores - scores.max(1, keepdims=True))
        return np.asarray(shares / shares.sum(1, keepdims=True), np.float32)

    def _shares(self, picture: Picture) -> Vectors:
        return np.asarray(self.shares(self.embed_images([picture]))[0], np.float32)
