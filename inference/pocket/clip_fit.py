"""Fits the parts of pocket-clip that follow the tower's training, in closed form: axes, positions of the things,
styles.

After training, pictures of one thing differ as much on some axes as pictures of two things. Fisher's discriminant
rotates and weights the axes to correct that; the position of a thing is then the mean of its pictures (Fisher 1936;
Snell et al. 2017).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from inference.pocket.clip_training import STYLES, ClipLearner, Knowledge, is_held_back, thing_places
from inference.pocket.dataset import DataSet
from inference.pocket.tower import SIDE_PX
from inference.pocket.tower_discriminant import class_means, discriminant
from inference.pocket.tower_pictures import Drawings, Wear, to_tensor
from inference.pocket.variants import compose
from inference.pocket.words import Vectors, unit

BATCH = 96
STYLE_RIDGE = 100.0
SCALES = np.arange(4.0, 40.0, 1.0)


@dataclass(frozen=True)
class Fitted:
    """`places`: float32 (things, d), unit length; `scale`: the factor from similarities to scores; `style_map`:
    float32 (styles, signs + 1), from a picture's style features and a constant 1 to shares of the styles.
    """

    places: Vectors
    scale: float
    style_map: Vectors


def fit_clip(learner: ClipLearner, knowledge: Knowledge, dataset: DataSet, seed: int) -> Fitted:
    """Change the tower's last layer in place and return the rest of the fit; a minute on one idle CPU core.

    All drawings are used, plain and augmented, except the held-back ones, which only determine the scale.
    """
    rows = dataset.rows
    things = thing_places(rows, knowledge)
    shown = np.array([not is_held_back(row) for row in rows])
    styles = np.array([STYLES.index(row.style) for row in rows])
    seen, signs = _look(learner, dataset, seed)
    plain, worn = seen
    pictures, of = np.concatenate([plain[shown], worn[shown]]), np.tile(things[shown], 2)
    middle, axes = discriminant(pictures, of)
    places = unit(class_means((pictures - middle) @ axes, of, len(knowledge.names)))
    with torch.no_grad():
        last = learner.tower.outputs
        last.bias.copy_(torch.from_numpy((last.bias.numpy() - middle) @ axes))
        last.weight.copy_(torch.from_numpy(axes.T @ last.weight.numpy()))
    asked = ~shown if (~shown).any() else shown
    likeness = unit(np.asarray((plain[asked] - middle) @ axes, np.float32)) @ places.T
    scale = min(SCALES, key=lambda s: _surprise(np.asarray(s * likeness, np.float32), things[asked]))
    tiled = np.tile(styles[shown], 2)
    return Fitted(places, float(scale), _ridge(np.concatenate([s[shown] for s in signs]), tiled))


def _look(
    learner: ClipLearner, dataset: DataSet, seed: int
) -> tuple[tuple[Vectors, Vectors], tuple[Vectors, Vectors]]:
    """Return the outputs and style features of all drawings, plain and augmented."""
    drawings, rows = Drawings(dataset, dataset.rows), dataset.rows
    outputs: tuple[list[Vectors], list[Vectors]] = ([], [])
    signs: tuple[list[Vectors], list[Vectors]] = ([], [])
    for start in range(0, len(rows), BATCH):
        places = np.arange(start, min(start + BATCH, len(rows)))
        rng = np.random.default_rng(start)
        plain = [
            compose(dataset.images[rows[i].index], SIDE_PX, "white", rng, moved=False, flip=False)
            for i in places
        ]
        for kind, pictures in enumerate((to_tensor(plain), drawings.batch(places, Wear(), seed + start))):
            with torch.inference_mode():
                features, style = learner.tower.features_and_signs(pictures)
                # Like `PocketClip`, use the picture and its mirror image.
                both = (features + learner.tower.features(pictures.flip(3))) / 2
                outputs[kind].append(learner.tower.outputs(both).numpy())
                signs[kind].append(style.numpy())
    return (
        (np.concatenate(outputs[0]), np.concatenate(outputs[1])),
        (np.concatenate(signs[0]), np.concatenate(signs[1])),
    )


def _surprise(scores: Vectors, right: npt.NDArray[np.int64]) -> float:
    """Return the mean negative log-likelihood of the right answers."""
    top = scores.max(1, keepdims=True)
    total = np.log(np.exp(scores - top).sum(1)) + top[:, 0]
    return float((total - scores[np.arange(len(right)), right]).mean())


def _ridge(signs: Vectors, styles: npt.NDArray[np.int64]) -> Vectors:
    """Return the ridge regression of the styles on style features, float32 (styles, signs + 1), for unscaled
    features.
    """
    middle, spread = signs.mean(0), signs.std(0) + 1e-5
    even = np.c_[(signs - middle) / spread, np.ones(len(signs))].astype(np.float64)
    wanted = np.eye(len(STYLES))[styles]
    found = np.linalg.solve(even.T @ even + STYLE_RIDGE * np.eye(even.shape[1]), even.T @ wanted).T
    found[:, -1] -= found[:, :-1] @ (middle / spread)
    found[:, :-1] /= spread
    return np.asarray(found, np.float32)
