"""Tests of the periodic reader: it runs while requested, sleeps otherwise, and misses no request."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from services.periodic import PeriodicReader

SOON_S = 10.0

Make = Callable[..., PeriodicReader]


@pytest.fixture
def make() -> Iterator[Make]:
    """A factory of readers that closes them after the test."""
    made: list[PeriodicReader] = []

    def reader(
        read: Callable[[], object], *, interval_s: float = 0.01, wanted_s: float = 60.0
    ) -> PeriodicReader:
        made.append(PeriodicReader("test_reader", read, interval_s=interval_s, wanted_s=wanted_s))
        return made[-1]

    yield reader
    for one in made:
        one.close()


class Rounds:
    """Counts the rounds and lets a test wait for one."""

    def __init__(self) -> None:
        self.count = 0
        self._changed = threading.Condition()

    def __call__(self) -> None:
        with self._changed:
            self.count += 1
            self._changed.notify_all()

    def reach(self, count: int) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self.count >= count, SOON_S)

    def rest(self, for_s: float) -> bool:
        """Return True once no round ran for `for_s` seconds, False if that does not happen in time."""
        deadline = time.monotonic() + SOON_S
        while time.monotonic() < deadline:
            before = self.count
            time.sleep(for_s)
            if self.count == before:
                return True
        return False


def test_no_thread_runs_before_the_first_request(make: Make) -> None:
    rounds = Rounds()
    before = threading.active_count()
    make(rounds)
    time.sleep(0.05)
    assert rounds.count == 0
    assert threading.active_count() == before


def test_one_request_starts_repeated_rounds(make: Make) -> None:
    rounds = Rounds()
    make(rounds).ask()
    assert rounds.reach(5)


def test_the_reader_sleeps_without_requests_and_resumes_at_the_next(make: Make) -> None:
    rounds = Rounds()
    reader = make(rounds, wanted_s=0.1)
    for _ in range(3):
        reader.ask()
        assert rounds.reach(rounds.count + 1)
        assert rounds.rest(for_s=0.3)


def test_a_request_just_before_the_thread_sleeps_is_not_missed(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds = Rounds()
    reader = make(rounds, wanted_s=0.1)
    asked = threading.Event()
    real = time.monotonic

    def monotonic() -> float:
        at = real()
        if threading.current_thread().name == "test_reader" and rounds.count and not asked.is_set():
            # A request arrives just as the thread is about to find that there is none.
            at += 1000.0
            asked.set()
            other = threading.Thread(target=reader.ask)
            other.start()
            other.join(0.2)
        return at

    monkeypatch.setattr("time.monotonic", monotonic)
    reader.ask()
    assert asked.wait(SOON_S)
    assert rounds.reach(2)


def test_rounds_continue_after_one_raises(make: Make) -> None:
    rounds = Rounds()

    def read() -> None:
        rounds()
        if rounds.count < 3:
            raise RuntimeError("nobody thought of this")

    make(read).ask()
    assert rounds.reach(5)


def test_rounds_never_overlap(make: Make) -> None:
    inside, overlaps, rounds = threading.Lock(), [], Rounds()

    def read() -> None:
        if not inside.acquire(blocking=False):
            overlaps.append(1)
            return
        time.sleep(0.005)
        rounds()
        inside.release()

    reader = make(read)
    asking = [
        threading.Thread(target=lambda: reader.wait_for(lambda: rounds.count >= 10, timeout_s=SOON_S))
        for _ in range(8)
    ]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    assert rounds.count >= 10
    assert overlaps == []


def test_a_waiting_caller_starts_a_round_without_waiting_for_the_interval(make: Make) -> None:
    rounds = Rounds()
    reader = make(rounds, interval_s=3600.0)
    for wanted in (1, 2, 3):
        assert reader.wait_for(lambda wanted=wanted: rounds.count >= wanted, timeout_s=SOON_S)  # type: ignore[misc]


def test_the_wait_is_bounded_while_a_round_hangs(make: Make) -> None:
    go_on = threading.Event()
    reader = make(lambda: go_on.wait(SOON_S))
    began = time.monotonic()
    assert not reader.wait_for(lambda: False, timeout_s=0.2)
    assert time.monotonic() - began < SOON_S / 2
    go_on.set()


def test_closing_ends_the_thread_and_pending_waits(make: Make) -> None:
    rounds = Rounds()
    reader = make(rounds, interval_s=3600.0)
    reader.ask()
    assert rounds.reach(1)
    ended: list[bool] = []
    waiting = threading.Thread(target=lambda: ended.append(reader.wait_for(lambda: False, timeout_s=60.0)))
    waiting.start()
    assert rounds.reach(2)
    reader.close()
    waiting.join(SOON_S)
    assert ended == [False]
    before = rounds.count
    reader.ask()
    time.sleep(0.05)
    assert rounds.count == before


def test_a_sleeping_reader_can_be_closed(make: Make) -> None:
    rounds = Rounds()
    reader = make(rounds, wanted_s=0.01)
    reader.ask()
    assert rounds.reach(1) and rounds.rest(for_s=0.1)
    [thread] = [one for one in threading.enumerate() if one.name == "test_reader"]
    reader.close()
    thread.join(SOON_S)
    assert not thread.is_alive()
