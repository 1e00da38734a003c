"""Chooses how often a page polls its jobs: each poll is a run on the server, and many pages may be open."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Iterable
from datetime import datetime

from services.records import LiveJob

POLL_S = 1.0
# Long jobs do not visibly move more slowly at this interval.
LONG_POLL_S = 2.0
LONG_AFTER_S = 10.0
# This close to its end, a job is polled often again, so that a finished picture appears within about a second.
NEAR_END_S = 4.0
# A job that waits for its model may wait for hours.
HELD_POLL_S = 5.0


# The polls per second one process can afford; with many pages, each polls less often.
MOST_LOOKS_A_S = 35.0
# A page that has not polled for this long is closed or watches nothing.
AWAY_S = 12.0
STEP_S = 0.5


class PollBudget:
    """The pages of this process that poll jobs, with the time of their last poll (monotonic seconds)."""

    def __init__(self) -> None:
        self._looked: OrderedDict[str, float] = OrderedDict()
        self._lock = threading.Lock()

    def min_interval_s(self, page: str, now: float) -> float:
        """Records a poll of `page`; returns the minimum seconds between two polls of each page, in half seconds."""
        with self._lock:
            self._looked[page] = now
            self._looked.move_to_end(page)
            while now - next(iter(self._looked.values())) > AWAY_S:
                self._looked.popitem(last=False)
            return math.ceil(len(self._looked) / MOST_LOOKS_A_S / STEP_S) * STEP_S


poll_budget = PollBudget()


def poll_s(jobs: Iterable[LiveJob], at: datetime, *, min_interval_s: float = 0.0) -> float:
    """Returns the seconds until the next poll of a page's open jobs, by the job that needs it soonest."""
    return max(min_interval_s, min((_poll_s(live, at) for live in jobs), default=POLL_S))


def _poll_s(live: LiveJob, at: datetime) -> float:
    if live.job.waits_for_the_model(at):
        return HELD_POLL_S
    young = (at - live.job.created_at).total_seconds() < LONG_AFTER_S
    near = live.eta_s is not None and live.eta_s <= NEAR_END_S
    return POLL_S if young or near else LONG_POLL_S
