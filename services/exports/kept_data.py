"""What the studio keeps of a person's exports: ZIPs of what is elsewhere, so that nobody takes them away again."""

from __future__ import annotations

from services.exports.orders import Exports
from services.store import keys
from services.store.kept_data import Erased, ErasureSteps, KeptData


class KeptExports(KeptData):
    """The ZIPs that were ordered, finished or not."""

    kinds = frozenset({keys.EXPORT})

    def __init__(self, exports: Exports) -> None:
        self._exports = exports

    def begin_erasing(self, user_id: str) -> ErasureSteps:
        """Records first, so that nobody goes on making one; then the files."""
        return ErasureSteps(records=lambda: Erased(objects=self._exports.forget(user_id)))
