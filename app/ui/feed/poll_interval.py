"""How often a page looks at the jobs it shows: each look is a run on the server, and many pages may be open."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Iterable
from datetime import datetime

from services.records import LiveJob

POLL_S = 1.0
# What is long on its way moves no slower to the eye by this.
LONG_POLL_S = 2.0
LONG_AFTER_S = 10.0
# So near its end a job is looked at often again: what is finished shows within about a second.
NEAR_END_S = 4.0
# What waits for its model may wait for hours.
HELD_POLL_S = 5.0


# So many looks a second one process has time for beside all else; a crowd looks less often, each page alike.
MOST_LOOKS_A_S = 35.0
# A page that has not looked for so long is closed, or watches nothing any more.
AWAY_S = 12.0
STEP_S = 0.5


class PollBudget:
    """The pages of this process that look at jobs, by the time they looked last (monotonic seconds)."""

    def __init__(self) -> None:
        self._looked: OrderedDict[str, float] = OrderedDict()
        self._lock = threading.Lock()

    def min_interval_s(self, page: str, now: float) -> float:
        """Counts a look of `page`; returns the seconds that must lie between two looks of each, in half seconds."""
        with self._lock:
            self._looked[page] = now
            self._looked.move_to_end(page)
            while now - next(iter(self._looked.values())) > AWAY_S:
                self._looked.popitem(last=False)
            return math.ceil(len(self._looked) / MOST_LOOKS_A_S / STEP_S) * STEP_S


poll_budget = PollBudget()


def poll_s(jobs: Iterable[LiveJob], at: datetime, *, min_interval_s: float = 0.0) -> float:
    """Return the seconds until the next look at a page's open jobs, by the one that needs it soonest."""
    return max(min_interval_s, min((_poll_s(live, at) for live in jobs), default=POLL_S))


def _poll_s(live: LiveJob, at: datetime) -> float:
    if live.job.waits_for_the_model(at):
        return HELD_POLL_S
    young = (at - live.job.created_at).total_seconds() < LONG_AFTER_S
    near = live.eta_s is not None and live.eta_s <= NEAR_END_S
    return POLL_S if young or near else LONG_POLL_S
