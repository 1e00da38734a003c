"""Caches the embeddings of recent texts, so that the same text is encoded only once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable

from inference.pipelines.form import Embedding


class PromptCache:
    """An LRU cache. The tensors stay on the device where the encoder left them.

    Every text is encoded alone, so that its embedding does not depend on the rest of the batch.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._kept: OrderedDict[Hashable, Embedding] = OrderedDict()
        self.size_bytes = 0
        self.hits = 0
        self.misses = 0

    def get(self, key: Hashable, encode: Callable[[], Embedding]) -> Embedding:
        """Return the embedding cached under `key`, or that of `encode`, which is cached if it fits."""
        kept = self._kept.get(key)
        if kept is not None:
            self._kept.move_to_end(key)
            self.hits += 1
            return kept
        self.misses += 1
        embedding = encode()
        size_bytes = _size_bytes(embedding)
        if size_bytes <= self._max_bytes:
            self._kept[key] = embedding
            self.size_bytes += size_bytes
            while self.size_bytes > self._max_bytes:
                self.size_bytes -= _size_bytes(self._kept.popitem(last=False)[1])
        return embedding

    def clear(self) -> None:
        """Drop all embeddings to free their memory."""
        self._kept.clear()
        self.size_bytes = 0


def _size_bytes(embedding: Embedding) -> int:
    return sum(tensor.element_size() * tensor.nelement() for tensor in embedding.values())
