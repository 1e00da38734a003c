"""Tests that the worker's loops are independent: a long reconciliation blocks neither the sweeps nor the shutdown."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from services.build import Studio
from services.images.reconcile import BATCH
from services.records import Job, User
from services.store import keys
from services.worker import Worker

WITHIN_S = 30


@pytest.fixture
def worker(studio: Studio) -> Worker:
    soon = studio.settings.model_copy(update={"sweep_interval_s": 0.1})
    return Worker(replace(studio, settings=soon), studio.results_queue, studio.metrics)


@contextmanager
def running(worker: Worker) -> Iterator[None]:
    """Runs all loops of the worker until the end of the block."""
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        yield
    finally:
        worker.stop()
        thread.join(WITHIN_S)
    assert not thread.is_alive()


def test_sweeps_continue_during_a_reconciliation(
    studio: Studio,
    draw: Callable[..., Job],
    maker: User,
    worker: Worker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    draw(count=2)
    listed, sweep = studio.reconciler._objects.keys, studio.sweeper.sweep
    in_the_middle, swept_since, go_on = threading.Event(), threading.Event(), threading.Event()

    def slow_listing(prefix: str) -> Iterator[str]:
        for n, key in enumerate(listed(prefix)):
            if n == 1:
                in_the_middle.set()
                go_on.wait(WITHIN_S)
            yield key

    def watched_sweep() -> object:
        before = in_the_middle.is_set()
        report = sweep()
        if before:
            swept_since.set()
        return report

    monkeypatch.setattr(studio.reconciler._objects, "keys", slow_listing)
    monkeypatch.setattr(studio.sweeper, "sweep", watched_sweep)
    with running(worker):
        try:
            assert in_the_middle.wait(WITHIN_S)
            assert swept_since.wait(WITHIN_S), "a complete sweep"
            assert not go_on.is_set()
        finally:
            go_on.set()


def test_a_reconciliation_stops_with_the_worker(
    studio: Studio, maker: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = threading.Event()
    job_id = keys.new_id()

    def endless(_: str) -> Iterator[str]:
        for n in itertools.count():
            if n == 2 * BATCH - 1:
                stop.set()
            yield keys.image_key(maker.id, job_id, n % BATCH)

    monkeypatch.setattr(studio.reconciler._objects, "keys", endless)
    assert studio.reconciler.reconcile(stop.is_set).pictures == 2 * BATCH
