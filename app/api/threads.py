"""The API's own bounded thread pool, so that a slow cloud never blocks the threads that serve the pages."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import ParamSpec, TypeVar

from anyio import CapacityLimiter, to_thread

P = ParamSpec("P")
R = TypeVar("R")

# Services block on the network; anyio's default threads serve the pages' static files, so these are separate.
_LIMITER = CapacityLimiter(16)


# Parsing megabytes takes the processor and not the network: one at a time, so that the event loop gets its turn.
_HEAVY_LIMITER = CapacityLimiter(1)


# The health check does not wait for requests, however many there are and however slow the cloud is.
_PROBE_LIMITER = CapacityLimiter(1)


async def beside_requests(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Runs as `in_thread`, but on a thread that no request takes."""
    return await to_thread.run_sync(partial(function, *args, **kwargs), limiter=_PROBE_LIMITER)


async def in_turn(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Runs as `in_thread`, but only one such function at a time: for those that compute for a while."""
    return await to_thread.run_sync(partial(function, *args, **kwargs), limiter=_HEAVY_LIMITER)


async def in_thread(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Runs a blocking function without blocking the event loop; its exceptions are raised here."""
    return await to_thread.run_sync(partial(function, *args, **kwargs), limiter=_LIMITER)
