"""The worker process: handles the endpoint's notifications, sweeps for lost ones, and keeps the queue moving."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from collections.abc import Callable

from services.aws.queues import Message, Queue
from services.aws.telemetry import Metrics
from services.backends.base import Ending, Notification
from services.build import Studio, build
from services.errors import NotFound, StudioError, Unavailable
from services.logs import configure, event
from services.records import Job
from services.settings import Settings, SettingsError, load_settings

RETRY_S = 5
RECONCILE_S = 6 * 3600.0
SEARCH_S = 5.0
KEY_HOLDERS_S = 300.0
EXPORTS_S = 2.0


class Worker:
    """Loops in one process: notifications on the calling thread, sweeps and work on pictures on other threads."""

    def __init__(self, studio: Studio, queue: Queue, metrics: Metrics) -> None:
        self._studio = studio
        self._queue = queue
        self._metrics = metrics
        self._stop = threading.Event()

    def stop(self) -> None:
        """Ends the loops after their current task."""
        self._stop.set()

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stop.is_set()

    def run(self) -> None:
        """Runs until `stop`; returns when all loops have ended."""
        others = [
            threading.Thread(target=loop, name=name, daemon=True)
            for name, loop in (
                ("sweep", self._sweep_loop),
                ("reconcile", self._reconcile_loop),
                ("search", self._search_loop),
                ("key_holders", self._key_holder_loop),
                ("exports", self._export_loop),
            )
        ]
        for thread in others:
            thread.start()
        event("worker_started")
        while not self._stop.is_set():
            self.receive_once()
        for thread in others:
            thread.join(timeout=20)
        event("worker_stopped")

    def receive_once(self, *, wait_s: int = 5) -> int:
        """Handles one batch of notifications; returns how many were acknowledged.

        A message that cannot be handled is received again and, after five times, moves to the dead-letter queue; the
        others are not held up.
        """
        try:
            messages = self._queue.receive(wait_s=wait_s)
        except Unavailable as exc:
            event("receive_failed", level=logging.WARNING, exc=exc)
            self._stop.wait(RETRY_S)
            return 0
        return sum(self._handle_safely(message) for message in messages)

    def _handle_safely(self, message: Message) -> bool:
        try:
            self.handle(message.body)
            self._queue.acknowledge(message)
        except Exception as exc:  # noqa: BLE001 - the loop's edge: one bad message must not stop the others.
            level = logging.WARNING if isinstance(exc, StudioError) else logging.ERROR
            event("message_postponed", level=level, exc=exc, receives=message.receives)
            self._give_back(message)
            return False
        return True

    def _give_back(self, message: Message) -> None:
        try:
            self._queue.give_back(message, delay_s=min(60, RETRY_S * message.receives))
        except StudioError:
            # It becomes visible by itself when its visibility time-out ends.
            return

    def handle(self, body: str) -> None:
        """Ends the job of a back end's notification; a repeated notification changes nothing.

        Raises UnreadableNotification: such a message moves to the dead-letter queue.
        """
        told = self._studio.backends.read_notification(body)
        job = self._end(told)
        self._studio.sweeper.dispatch(closed=told.job_id if job and job.status.terminal else None)

    def _end(self, told: Notification) -> Job | None:
        completion, of = self._studio.completion, (told.user_id, told.job_id, told.attempt)
        match told.ending:
            case Ending.FAILED:
                return completion.fail(*of, told.reason, failure_uri=told.failure_uri)
            case Ending.EXPIRED:
                return completion.give_up(*of)
            case Ending.COMPLETED:
                try:
                    return completion.finish(*of)
                except NotFound:
                    # S3 is consistent, so the output was erased or never written. The sweeper decides at the deadline.
                    event(
                        "output_missing",
                        level=logging.WARNING,
                        user=told.user_id,
                        job=told.job_id,
                        attempt=told.attempt,
                    )
                    return None

    def _sweep_loop(self) -> None:
        while not self._stop.is_set():
            self._safely("endpoints", self._studio.cold_starts.look)
            self._safely("sweep", self.sweep_once)
            self._safely("upkeep", self._studio.images.upkeep)
            self._safely("trash", self._studio.trash.expire)
            self._safely("shares", self._studio.shares.expire)
            self._stop.wait(self._studio.settings.sweep_interval_s)

    def _reconcile_loop(self) -> None:
        """Reconciles the bucket in its own thread: a pass takes hours and must not delay other loops or the worker's
        end.
        """
        while not self._stop.is_set():
            self._safely("reconcile", self._reconcile)
            self._stop.wait(RECONCILE_S)

    def _search_loop(self) -> None:
        while not self._stop.is_set():
            self._safely("search", self._studio.search_index.fold_due)
            self._stop.wait(SEARCH_S)

    def _key_holder_loop(self) -> None:
        """Removes the keys of deleted users, even unused ones."""
        while not self._stop.is_set():
            self._safely("key_holders", lambda: self._studio.accounts.check_key_holders(self._stop.is_set))
            self._stop.wait(KEY_HOLDERS_S)

    def _export_loop(self) -> None:
        while not self._stop.is_set():
            self._safely("exports", lambda: self._studio.export_builder.build_due(self._stop.is_set))
            self._stop.wait(EXPORTS_S)

    def _safely(self, name: str, task: Callable[[], object]) -> None:
        """Runs one task of a loop; logs its failure so that the other tasks go on."""
        try:
            task()
        except Exception as exc:  # noqa: BLE001 - the loop's edge: the next pass tries again
            event(f"{name}_failed", level=logging.ERROR, exc=exc)

    def _reconcile(self) -> None:
        event("reconciled", **self._studio.reconciler.reconcile(self._stop.is_set).model_dump())

    def sweep_once(self) -> None:
        """Sweeps once and publishes the number of waiting jobs per endpoint for scaling."""
        report = self._studio.sweeper.sweep()
        if any(report.model_dump().values()):
            event("swept", **report.model_dump())
        self._safely("metrics", lambda: self._metrics.by_endpoint("WaitingJobs", report.backlog))


def make_worker(settings: Settings) -> Worker:
    """Makes the worker of an installation without connecting to anything."""
    studio = build(settings)
    return Worker(studio, studio.results_queue, studio.metrics)


def main() -> int:
    """Runs the worker until SIGTERM or SIGINT; exit code 2 when the settings cannot be used."""
    try:
        settings = load_settings()
    except SettingsError as exc:
        sys.stderr.write(f"{exc}\n")
        return 2
    configure(settings.log_level)
    worker = make_worker(settings)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: worker.stop())
    worker.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
