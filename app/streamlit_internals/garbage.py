"""How often this process looks for garbage that only Python's collector finds."""

from __future__ import annotations

import gc

# Containers more than were given back before the youngest are looked through. A run of a page makes and drops
# thousands, and nearly all of them go without the collector.
YOUNG = 10_000


def collect_seldom() -> None:
    """Takes what has been imported so far out of the collector's sight, and has it look at the rest less often.

    With Python's own 700 the collector was a third of what watching a job cost the process: it went through every
    module again and again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, 10, 10)
