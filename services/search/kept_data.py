"""Registers the search index for erasure: it holds words of a person's pictures, which are also in the records."""

from __future__ import annotations

from services.search.index import SearchIndex
from services.store.kept_data import Erased, ErasureSteps, KeptData


class KeptSearchIndex(KeptData):
    """The index's segments. The note written with a job's picture records removes that job's words."""

    def __init__(self, index: SearchIndex) -> None:
        self._index = index

    def begin_erasing(self, user_id: str) -> ErasureSteps:
        """Erases the whole index. Register it after the pictures: the next search rebuilds it from the records left."""
        return ErasureSteps(records=lambda: Erased(objects=self._index.forget(user_id)))
