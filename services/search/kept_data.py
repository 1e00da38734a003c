"""What the studio keeps of a person in the search index: the words of their pictures, which the records have too."""

from __future__ import annotations

from services.search.index import SearchIndex
from services.store.kept_data import Erased, ErasureSteps, KeptData


class KeptSearchIndex(KeptData):
    """The index's segments. One job's words leave it by the note that is written with its pictures' records."""

    def __init__(self, index: SearchIndex) -> None:
        self._index = index

    def begin_erasing(self, user_id: str) -> ErasureSteps:
        """The whole index. Register it after the pictures: the next search rebuilds it from what records there are."""
        return ErasureSteps(records=lambda: Erased(objects=self._index.forget(user_id)))
