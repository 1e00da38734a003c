"""One model thread and the bounded queue in front of it."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Literal

from inference.batch_run import BatchRun
from inference.batching import PassSizes, arrival_s, gather_s, take_batch
from inference.contract import Payload
from inference.errors import Busy, ModelError, ShuttingDown
from inference.logs import describe_failure, log
from inference.pipelines.family import Model
from inference.progress import ProgressReporter
from inference.tickets import Ticket

State = Literal["loading", "ready", "failed", "shutting_down"]
# An unwanted request without a step for this long means that the model has hung. The server then reports itself as
# unhealthy, so that it is replaced.
HUNG_AFTER_S = 120.0


class Engine:
    """Owns the model. Any thread may call `submit`; only the engine's thread touches the model."""

    def __init__(
        self,
        load: Callable[[], Model],
        queue_size: int,
        reporter: ProgressReporter,
        on_failed_start: Callable[[Exception], None],
    ) -> None:
        self._load = load
        self._queue_size = queue_size
        self._reporter = reporter
        self._on_failed_start = on_failed_start
        self._change = threading.Condition()
        self._waiting: deque[Ticket] = deque()
        self._running: BatchRun | None = None
        self._state: State = "loading"
        self._usual_s = 1.0
        # Requests of the batch before, and until when the next one waits for as many (time.monotonic()).
        self._companions, self._gather_until = 1, 0.0
        self.model: Model | None = None

    def start(self) -> None:
        """Start the model thread: it loads, warms up and then serves."""
        # A daemon thread: a hung model must not keep the process alive.
        threading.Thread(target=self._run, name="model", daemon=True).start()

    @property
    def state(self) -> State:
        """The engine's current state."""
        return self._state

    def is_hung(self) -> bool:
        """Return whether an unwanted request blocks the model thread without making a step."""
        running = self._running
        return running is not None and running.is_hung(HUNG_AFTER_S)

    def submit(self, payload: Payload, received: float | None = None) -> Ticket:
        """Queue a request that arrived at `received` (time.monotonic(); now when None).

        Raises `Busy` when the queue is full, `ShuttingDown` when it is closed, `ModelError` without a model.
        """
        ticket = Ticket(payload, received)
        with self._change:
            if self._state == "shutting_down":
                raise _shutting_down()
            if self._state == "failed":
                raise _no_model()
            if len(self._waiting) >= self._queue_size:
                raise self._busy()
            self._waiting.append(ticket)
            self._change.notify_all()
        return ticket

    def abandon(self, ticket: Ticket) -> None:
        """Drop a request whose client disconnected: from the queue, or from its pass at the next step."""
        with self._change:
            ticket.stop = ticket.stop or "abandoned"
            if ticket in self._waiting:
                self._waiting.remove(ticket)
                ticket.done.cancel()

    def expire(self, ticket: Ticket) -> None:
        """Answer a request whose deadline has passed, and drop it from the queue, or from its pass at the next step."""
        with self._change:
            ticket.expire()
            if ticket in self._waiting:
                self._waiting.remove(ticket)
                ticket.log("request_stopped", reason=ticket.stop)

    def close(self) -> None:
        """Stop accepting requests and hand back the waiting ones; running ones continue."""
        with self._change:
            self._state = "shutting_down"
            waiting = list(self._waiting)
            self._waiting.clear()
            self._change.notify_all()
        for ticket in waiting:
            ticket.fail(_shutting_down())

    def is_idle(self) -> bool:
        """Return whether no request is running."""
        return self._running is None

    @property
    def waiting(self) -> int:
        """The number of requests in the queue."""
        return len(self._waiting)

    @property
    def running(self) -> BatchRun | None:
        """The batch being drawn; None while the model is idle."""
        return self._running

    def hand_back_running(self) -> None:
        """Answer the running requests with `ShuttingDown` and stop them at their next step."""
        running = self._running
        for member in running.members if running else []:
            member.ticket.stop = member.ticket.stop or "shutting_down"
            member.ticket.fail(_shutting_down())

    def _busy(self) -> Busy:
        # A place is free when the running batch is done and the next one has left the queue.
        wait_s = self._running.remaining_s(self._usual_s) if self._running else self._usual_s
        return Busy(
            f"{len(self._waiting)} requests are waiting already: try again later.",
            retry_after_s=min(600, max(1, math.ceil(wait_s))),
        )

    def _run(self) -> None:
        try:
            started = time.monotonic()
            model = self._load()
            loaded = time.monotonic()
            model.warm_up()
        except Exception as exc:  # noqa: BLE001 - the edge of a thread: the server has to hear of it
            self._give_up()
            self._on_failed_start(exc)
            return
        ready = time.monotonic()
        self.model = model
        with self._change:
            if self._state == "loading":
                self._state = "ready"
        log(
            "info",
            "model_ready",
            model=model.reference.name,
            revision=model.reference.revision,
            device=model.device,
            threads=model.threads,
            max_batch=model.max_batch,
            load_s=round(loaded - started, 3),
            warm_up_s=round(ready - loaded, 3),
        )
        try:
            self._serve(model, ready)
        except Exception as exc:  # noqa: BLE001 - a server without a model thread has to say so
            log("error", "model_thread_ended", **describe_failure(exc))
            self._give_up()

    def _serve(self, model: Model, ready: float) -> None:
        sizes = PassSizes(model.max_batch)
        while (batch := self._next(model, sizes, ready)) is not None:
            try:
                batch.run(self._reporter)
            finally:
                ended = time.monotonic()
                took_s = ended - batch.started
                with self._change:
                    self._running = None
                    self._usual_s += 0.2 * (took_s - self._usual_s)
                    self._companions, self._gather_until = len(batch.members), ended + gather_s(took_s)
                    self._change.notify_all()

    def _next(self, model: Model, sizes: PassSizes, ready: float) -> BatchRun | None:
        """Wait for requests and return the next batch, which becomes the running one; None at the end."""
        with self._change:
            while True:
                self._change.wait_for(lambda: self._waiting or self._state == "shutting_down")
                self._gather(model.max_batch)
                for ticket in [t for t in self._waiting if t.is_overdue()]:
                    self._waiting.remove(ticket)
                    ticket.expire()
                    ticket.log("request_stopped", reason=ticket.stop)
                if self._waiting:
                    break
                if self._state == "shutting_down":
                    return None
            taken = take_batch(self._waiting, model, sizes)
            for ticket in taken:
                self._waiting.remove(ticket)
            self._running = BatchRun(model, taken, sizes, ready)
            return self._running

    def _gather(self, most: int) -> None:
        """Wait briefly for requests sent together and for the last batch's clients, to draw them in one pass."""
        if most > 1:
            self._wait_for_others(most, arrival_s(self._usual_s))
            self._wait_for_others(min(most, self._companions), self._gather_until - time.monotonic())

    def _wait_for_others(self, enough: int, longest_s: float) -> None:
        if longest_s > 0:
            self._change.wait_for(
                lambda: len(self._waiting) >= enough or self._state == "shutting_down", longest_s
            )

    def _give_up(self) -> None:
        with self._change:
            self._state = "failed"
            waiting = list(self._waiting)
            self._waiting.clear()
        for ticket in waiting:
            ticket.fail(_no_model())


def _shutting_down() -> ShuttingDown:
    return ShuttingDown("This server is shutting down: send the request again.", retry_after_s=1)


def _no_model() -> ModelError:
    return ModelError("There is no model to draw with; the server's log says why.")
