"""Jumps of the wall clock: seen against a steady clock, and given back to deadlines that passed in them."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from services.clock import ClockJumps

NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Clocks:
    """A wall clock and a steady one, set by the test."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.wall, self.steady = NOON, 1000.0
        patch.setattr("services.clock.now", lambda: self.wall)
        patch.setattr(time, "monotonic", lambda: self.steady)

    def pass_by(self, seconds: float, *, asleep: timedelta = timedelta()) -> None:
        self.wall += timedelta(seconds=seconds) + asleep
        self.steady += seconds


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    return Clocks(monkeypatch)


def test_time_that_passes_is_no_jump(clocks: Clocks) -> None:
    jumps = ClockJumps()
    for seconds in (0.5, 30, 7200):
        clocks.pass_by(seconds)
        assert jumps.look() is None
    assert jumps.lost(NOON + HOUR) == timedelta()


def test_a_jump_is_given_back_to_what_ended_in_it_and_to_nothing_else(clocks: Clocks) -> None:
    jumps = ClockJumps()
    clocks.pass_by(10)
    assert jumps.look() is None
    clocks.pass_by(5, asleep=2 * HOUR)
    assert jumps.look() == 2 * HOUR
    assert jumps.lost(NOON + timedelta(seconds=9)) == timedelta(), "it had passed before"
    assert jumps.lost(NOON + HOUR) == 2 * HOUR
    assert jumps.lost(NOON + 3 * HOUR) == timedelta(), "it has not passed yet"
    clocks.pass_by(10)
    assert jumps.look() is None


@pytest.mark.parametrize("asleep", [timedelta(seconds=29), -HOUR])
def test_a_corrected_clock_is_no_jump(clocks: Clocks, asleep: timedelta) -> None:
    jumps = ClockJumps()
    clocks.pass_by(1, asleep=asleep)
    assert jumps.look() is None
