"""The embedded cloud with a journal that keeps nothing, to compare with: run in the cloud's environment."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from local.cloud.__main__ import main
from local.cloud.durability import Durability


async def _keep_nothing(self: Durability, service: str, headers: Mapping[str, str]) -> None:
    """Stands in for `Durability.record`, which writes each change to the disk before it is answered."""


if __name__ == "__main__":
    Durability.record = _keep_nothing  # type: ignore[method-assign]
    sys.exit(main())
