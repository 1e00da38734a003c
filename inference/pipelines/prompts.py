"""What the text encoders made of recent texts, kept so that the same text is encoded once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable

from inference.pipelines.form import Embedding


class PromptCache:
    """Least recently used embeddings leave first. The tensors lie where the encoder left them.

    Every text is encoded alone, so that its embedding does not depend on what is drawn beside it.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._kept: OrderedDict[Hashable, Embedding] = OrderedDict()
        self.size_bytes = 0
        self.hits = 0
        self.misses = 0

    def get(self, key: Hashable, encode: Callable[[], Embedding]) -> Embedding:
        """Return what is kept under `key`, or what `encode` gives, which is kept where it fits."""
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
        """Forget everything: its memory is wanted."""
        self._kept.clear()
        self.size_bytes = 0


def _size_bytes(embedding: Embedding) -> int:
    return sum(tensor.element_size() * tensor.nelement() for tensor in embedding.values())
