"""The API's own bounded set of threads: a slow cloud fills these, never the ones that serve the pages."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import ParamSpec, TypeVar

from anyio import CapacityLimiter, to_thread

P = ParamSpec("P")
R = TypeVar("R")

# Services block on the network; the pages' static files are served from anyio's default threads, so these are apart.
_LIMITER = CapacityLimiter(16)


async def in_thread(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Calls a blocking function without holding up the event loop; what it raises is raised here."""
    return await to_thread.run_sync(partial(function, *args, **kwargs), limiter=_LIMITER)
