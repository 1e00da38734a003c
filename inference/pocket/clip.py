"""pocket-clip: pictures and texts in one space, to name pictures, tag them and search them by words.

Opening it takes no teacher and no network. `TextSide` alone (numpy) does for what asks about texts only.
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
    """The image tower, the styles and the text side of one folder; it never changes after opening."""

    def __init__(
        self, text: TextSide, tower: Tower, style: nn.Linear, styles: Sequence[str], scale: float
    ) -> None:
        self.text = text
        self._tower, self._style = tower.eval(), style
        self._styles, self._scale = tuple(styles), scale

    @classmethod
    def open(cls, folder: Path = CLIP_WEIGHTS) -> PocketClip:
        """Read a folder; raises `PocketError` naming the file that is missing or broken."""
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
        """Return where pictures lie: float32 (n, d), unit length; 5-10 ms a picture on one CPU core."""
        found = [np.zeros((0, self.text.concepts.places.shape[1]), np.float32)]
        with torch.inference_mode():
            for start in range(0, len(pictures), BATCH):
                seen = to_tensor(pictures[start : start + BATCH])
                # Two looks are surer than one; an arrow to the right is then told from one to the left by less.
                found.append((self._tower(seen) + self._tower(seen.flip(3))).numpy())
        return unit(np.concatenate(found))

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        """Return where texts lie: float32 (n, d), unit length; zeros for a text without a known word."""
        return self.text.embed(texts)

    def names(self, picture: Picture, k: int = 5) -> Scored:
        """Return the k likeliest of all names it knows, with their probabilities."""
        shares = self._shares(picture)
        best = np.argsort(-shares)[:k]
        return [(self.text.concepts.names[i], float(shares[i])) for i in best]

    def tags(self, picture: Picture, k: int = 8) -> Scored:
        """Return the k likeliest tags: each has the probability of all things that bear it together."""
        shares = self._shares(picture)
        found: dict[str, float] = {}
        for share, tags in zip(shares.tolist(), self.text.concepts.tags, strict=True):
            for tag in tags:
                found[tag] = found.get(tag, 0.0) + share
        return sorted(found.items(), key=lambda item: -item[1])[:k]

    def style(self, picture: Picture) -> dict[str, float]:
        """Return how like the picture's style is to each style it knows; the likenesses sum to one."""
        with torch.inference_mode():
            _, signs = self._tower.features_and_signs(to_tensor([picture]))
            # Ridge regression on shares: what is below nothing is nothing.
            shares = self._style(signs)[0].clamp(min=0)
        return dict(zip(self._styles, (shares / shares.sum()).tolist(), strict=True))

    def likeness(self, first: Picture, second: Picture) -> float:
        """Return how alike what two pictures show is, -1 to 1: the cosine between where they lie."""
        one, other = self.embed_images([first, second])
        return float(one @ other)

    def search(self, texts: Sequence[str], image_embeddings: Vectors) -> Vectors:
        """Return the chance that text and picture are of one thing: float32 (texts, pictures), 0 to 1.

        Surer than the cosine between both: what a picture is not, pulls it nowhere.
        """
        return np.asarray(self.text.shares(texts) @ self.shares(image_embeddings).T, np.float32)

    def shares(self, image_embeddings: Vectors) -> Vectors:
        """Return the probability of each thing for embeddings of pictures: float32 (pictures, things), of sum one."""
        scores = self._scale * (image_embeddings @ self.text.concepts.places.T)
        shares = np.exp(scores - scores.max(1, keepdims=True))
        return np.asarray(shares / shares.sum(1, keepdims=True), np.float32)

    def _shares(self, picture: Picture) -> Vectors:
        return np.asarray(self.shares(self.embed_images([picture]))[0], np.float32)
