"""Fisher's linear discriminant: axes on which vectors of one class lie close together (Fisher 1936)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from inference.pocket.words import Vectors

# Regularization of the covariance within classes, as a share of its mean: with ten pictures a thing, the small axes
# are noise.
EVEN_PART = 0.1


def discriminant(vectors: Vectors, of: npt.NDArray[np.int64]) -> tuple[Vectors, Vectors]:
    """Return the center (d,) and axes (d, d) on which vectors (n, d) have unit variance within their classes."""
    means = class_means(vectors, of, int(of.max()) + 1)
    within = vectors - means[of]
    spread = (within.T @ within / len(within)).astype(np.float64)
    spread += EVEN_PART * np.trace(spread) / len(spread) * np.eye(len(spread)) + 1e-9 * np.eye(len(spread))
    sizes, directions = np.linalg.eigh(spread)
    middle = means[np.unique(of)].mean(0)
    return middle.astype(np.float32), (directions / np.sqrt(sizes)).astype(np.float32)


def class_means(vectors: Vectors, of: npt.NDArray[np.int64], classes: int) -> Vectors:
    """Return the mean of each class's vectors, float32 (classes, d); zeros for an empty class."""
    sums = np.zeros((classes, vectors.shape[1]), np.float64)
    np.add.at(sums, of, vectors)
    counts = np.maximum(np.bincount(of, minlength=classes), 1)
    return np.asarray(sums / counts[:, None], np.float32)
