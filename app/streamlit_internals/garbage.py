"""Sets how often Python's cyclic garbage collector runs in this process."""

from __future__ import annotations

import gc

# The allocation surplus that triggers a collection of the youngest generation. A run of a page creates and drops
# thousands of containers, and reference counting frees nearly all of them.
YOUNG = 10_000


def collect_seldom() -> None:
    """Freezes the objects imported so far and makes the collector run less often.

    With Python's default of 700, the collector used a third of the CPU time of watching a job: it traversed every
    module again and again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, 10, 10)
