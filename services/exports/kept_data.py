"""A person's exports: ZIPs of data that is also stored elsewhere, so they are not part of "all my data"."""

from __future__ import annotations

from services.exports.orders import Exports
from services.store import keys
from services.store.kept_data import Erased, ErasureSteps, KeptData


class KeptExports(KeptData):
    """Ordered ZIPs, finished or not."""

    kinds = frozenset({keys.EXPORT})

    def __init__(self, exports: Exports) -> None:
        self._exports = exports

    def begin_erasing(self, user_id: str) -> ErasureSteps:
        """Removes records first, so that no worker continues building, then the files."""
        return ErasureSteps(records=lambda: Erased(objects=self._exports.forget(user_id)))
