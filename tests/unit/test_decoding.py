"""Turns for decoding pictures: their order, the pixels in flight, and the bounds of the queue."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from services.errors import Unavailable
from services.formats.decoding import Decoding


class Turn:
    """A turn in a thread of its own, which ends when it is told to."""

    def __init__(self, decoding: Decoding, owner: str, pixels: int, running: list[str]) -> None:
        self.started, self._end = threading.Event(), threading.Event()

        def work() -> None:
            with decoding.turn(owner, pixels):
                running.append(owner)
                self.started.set()
                assert self._end.wait(20)

        self._thread = threading.Thread(target=work)
        self._thread.start()

    def end(self) -> None:
        self._end.set()
        self._thread.join(20)
        assert not self._thread.is_alive()


@contextmanager
def started(decoding: Decoding, *turns: tuple[str, int]) -> Iterator[tuple[list[Turn], list[str]]]:
    """Starts turns in this order; each is under way or in the queue before the next one starts."""
    running: list[str] = []
    with ExitStack() as stack:
        made = []
        for number, (owner, pixels) in enumerate(turns, 1):
            made.append(Turn(decoding, owner, pixels, running))
            stack.callback(made[-1].end)
            while decoding._owners.total() < number:
                time.sleep(0.001)
        for turn in made:
            stack.callback(turn._end.set)
        yield made, running


def test_turns_are_taken_in_order_and_no_more_at_once_than_allowed() -> None:
    decoding = Decoding(at_once=2, pixels=100)
    with started(decoding, ("a", 10), ("b", 10), ("c", 10), ("d", 10)) as (turns, running):
        assert turns[0].started.wait(20) and turns[1].started.wait(20)
        assert not turns[2].started.wait(0.05)
        turns[1].end()
        assert turns[2].started.wait(20) and not turns[3].started.wait(0.05)
        turns[0].end()
        assert turns[3].started.wait(20)
        assert running == ["a", "b", "c", "d"]


def test_pixels_in_flight_are_bounded_and_a_small_picture_does_not_overtake_a_large_one() -> None:
    decoding = Decoding(at_once=3, pixels=100)
    with started(decoding, ("a", 60), ("b", 60), ("c", 10)) as (turns, running):
        assert turns[0].started.wait(20)
        assert not turns[1].started.wait(0.05) and not turns[2].started.is_set()
        turns[0].end()
        assert turns[1].started.wait(20) and turns[2].started.wait(20)
        assert running == ["a", "b", "c"]


def test_a_picture_larger_than_the_bound_is_decoded_alone() -> None:
    decoding = Decoding(at_once=3, pixels=100)
    with started(decoding, ("a", 500), ("b", 1)) as (turns, _):
        assert turns[0].started.wait(20) and not turns[1].started.wait(0.05)


def test_a_full_queue_refuses_at_once_and_takes_turns_again_later() -> None:
    decoding = Decoding(at_once=1, most=2)
    with started(decoding, ("a", 1), ("b", 1)) as (turns, _):
        with pytest.raises(Unavailable, match="at once") as refused, decoding.turn("c", 1):
            pass
        assert refused.value.retry_after_s > 0
        for turn in turns:
            turn.end()
        with decoding.turn("c", 1):
            pass


def test_one_user_cannot_fill_the_queue() -> None:
    decoding = Decoding(at_once=1, most=8, most_of_one=2)
    with started(decoding, ("a", 1), ("a", 1), ("b", 1)) as (turns, _):
        with pytest.raises(Unavailable), decoding.turn("a", 1):
            pass
        for turn in turns:
            turn.end()
    with decoding.turn("a", 1):
        pass


def test_a_turn_that_fails_is_given_back() -> None:
    decoding = Decoding(at_once=1, most=1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), decoding.turn("a", 1):
            raise ZeroDivisionError
    with decoding.turn("a", 1):
        pass
    assert not decoding._owners and not decoding._running and not decoding._waiting
