"""One model thread and the bounded queue in front of it."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass
from typing import Literal

from inference.contract import Payload
from inference.errors import Busy, InferenceError, ModelError, OutOfMemory, ShuttingDown
from inference.logs import describe_failure, log
from inference.pipelines.family import Drawing, Model, Pixels
from inference.progress import JobReport, ProgressReporter

State = Literal["loading", "ready", "failed", "shutting_down"]
# An abandoned request that makes no step for this long has hung; the server then says it is not well.
HUNG_AFTER_S = 120.0


@dataclass(frozen=True)
class Outcome:
    """What the model thread made of a request: pictures, or None when the cancel marker was seen."""

    drawing: Drawing | None
    step: int
    queue_s: float
    load_s: float
    gpu_s: float


class Ticket:
    """One request on its way through the engine. `done` is set from the model thread or by the shutdown."""

    def __init__(self, payload: Payload) -> None:
        self.payload = payload
        self.received = time.monotonic()
        self.done: Future[Outcome] = Future()
        self.stop: Literal["abandoned", "shutting_down"] | None = None
        self.step = 0
        self.moved = self.received

    def fail(self, error: Exception) -> None:
        """Answer with `error`, unless the request has an answer already."""
        try:
            self.done.set_exception(error)
        except InvalidStateError:
            return

    def succeed(self, outcome: Outcome) -> None:
        """Answer with `outcome`, unless the request has an answer already."""
        try:
            self.done.set_result(outcome)
        except InvalidStateError:
            return


class _Stopped(Exception):
    """Raised between two steps: nobody wants the result any more."""


class _CancelSeen(Exception):
    """Raised between two steps: the cancel marker is there."""


class _Watch:
    """The engine's end of a running drawing: counts steps, feeds the report, ends what should end."""

    def __init__(self, ticket: Ticket, report: JobReport | None) -> None:
        self._ticket = ticket
        self._report = report

    def on_step(self, step: int, preview: Callable[[int], Pixels]) -> frozenset[int]:
        self._ticket.step = step
        self._ticket.moved = time.monotonic()
        if self._ticket.stop is not None:
            raise _Stopped
        report = self._report
        if report is None:
            return frozenset()
        report.step = step
        if report.canceled:
            raise _CancelSeen
        if step < report.steps and report.wants_preview():
            started = time.monotonic()
            pixels = preview(0)
            report.offer_preview(pixels, cost_s=time.monotonic() - started)
        return frozenset()


class Engine:
    """Owns the model. `submit` may be called from any thread; the model is touched by its own thread only."""

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
        self._running: Ticket | None = None
        self._state: State = "loading"
        self._loaded = 0.0
        self._usual_s = 1.0
        self.model: Model | None = None

    def start(self) -> None:
        """Start the model thread: it loads, warms up and then serves."""
        # A daemon: a model that hangs must not keep the process alive.
        threading.Thread(target=self._run, name="model", daemon=True).start()

    @property
    def state(self) -> State:
        """Where the engine is in its life."""
        return self._state

    def is_hung(self) -> bool:
        """Say whether an abandoned request keeps the model thread without making a step."""
        ticket = self._running
        return (
            ticket is not None and ticket.stop is not None and time.monotonic() - ticket.moved > HUNG_AFTER_S
        )

    def submit(self, payload: Payload) -> Ticket:
        """Queue a request; raises `Busy` when the queue is full and `ShuttingDown` when it is closed."""
        ticket = Ticket(payload)
        with self._change:
            self._refuse_when_closed()
            if len(self._waiting) >= self._queue_size:
                raise self._busy()
            self._waiting.append(ticket)
            self._change.notify_all()
        return ticket

    def abandon(self, ticket: Ticket) -> None:
        """Forget a request whose client went away: it leaves the queue, or stops at its next step."""
        with self._change:
            ticket.stop = ticket.stop or "abandoned"
            if ticket in self._waiting:
                self._waiting.remove(ticket)
                ticket.done.cancel()

    def close(self) -> None:
        """Take no more requests, hand back the waiting ones; the running one goes on."""
        with self._change:
            self._state = "shutting_down"
            waiting = list(self._waiting)
            self._waiting.clear()
            self._change.notify_all()
        for ticket in waiting:
            ticket.fail(_shutting_down())

    def is_idle(self) -> bool:
        """Say whether no request is running."""
        return self._running is None

    def hand_back_running(self) -> None:
        """Answer the running request with `ShuttingDown` and stop it at its next step."""
        ticket = self._running
        if ticket is not None:
            ticket.stop = "shutting_down"
            ticket.fail(_shutting_down())

    def _refuse_when_closed(self) -> None:
        if self._state == "shutting_down":
            raise _shutting_down()
        if self._state == "failed":
            raise ModelError("The model did not load; the server's log says why.")

    def _busy(self) -> Busy:
        waiting = len(self._waiting)
        # Time until one place is free, from what requests usually take.
        retry_after_s = min(60, max(1, round(self._usual_s)))
        return Busy(f"{waiting} requests are waiting already: try again later.", retry_after_s=retry_after_s)

    def _run(self) -> None:
        try:
            started = time.monotonic()
            model = self._load()
            loaded = time.monotonic()
            model.warm_up()
        except Exception as exc:  # noqa: BLE001 - the edge of a thread: the server has to hear of it
            self._fail_start(exc)
            return
        self._loaded = time.monotonic()
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
            load_s=round(loaded - started, 3),
            warm_up_s=round(self._loaded - loaded, 3),
        )
        while (ticket := self._next()) is not None:
            self._serve(model, ticket)
            with self._change:
                self._running = None
                self._change.notify_all()

    def _fail_start(self, exc: Exception) -> None:
        with self._change:
            self._state = "failed"
            waiting = list(self._waiting)
            self._waiting.clear()
        for ticket in waiting:
            ticket.fail(ModelError("The model did not load; the server's log says why."))
        self._on_failed_start(exc)

    def _next(self) -> Ticket | None:
        with self._change:
            self._change.wait_for(lambda: self._waiting or self._state == "shutting_down")
            if not self._waiting:
                return None
            self._running = self._waiting.popleft()
            return self._running

    def _serve(self, model: Model, ticket: Ticket) -> None:
        payload = ticket.payload
        started = ticket.moved = time.monotonic()
        waited_s = started - ticket.received
        load_s = min(waited_s, max(0.0, self._loaded - ticket.received))
        report = self._reporter.begin(payload.job, payload.num_inference_steps) if payload.job else None
        failed = True
        drawing: Drawing | None = None
        try:
            drawing = model.draw([payload], _Watch(ticket, report))[0]
            failed = False
        except _CancelSeen:
            failed = False
        except _Stopped:
            ticket.done.cancel()
            self._log(ticket, "request_stopped", reason=ticket.stop)
        except InferenceError as exc:
            # Their frames hold the tensors that have to be freed.
            exc.__traceback__ = exc.__cause__ = exc.__context__ = None
            ticket.fail(exc)
            self._log(ticket, "request_failed", code=exc.code)
        except Exception as exc:  # noqa: BLE001 - the edge: whatever a model raises, the next one is served
            self._log(ticket, "request_failed", code="model_error", **describe_failure(exc))
            error = _out_of_memory() if isinstance(exc, MemoryError) else _model_error(exc)
            ticket.fail(error)
        finally:
            if report is not None:
                report.close()
        if failed:
            model.free_memory()
            return
        gpu_s = time.monotonic() - started
        self._usual_s += 0.2 * (gpu_s - self._usual_s)
        ticket.succeed(
            Outcome(drawing=drawing, step=ticket.step, queue_s=waited_s - load_s, load_s=load_s, gpu_s=gpu_s)
        )
        self._log(
            ticket,
            "request_drawn" if drawing is not None else "request_canceled",
            queue_s=round(waited_s - load_s, 3),
            load_s=round(load_s, 3),
            gpu_s=round(gpu_s, 3),
            encode_text_s=round(drawing.encode_text_s, 3) if drawing else None,
            denoise_s=round(drawing.denoise_s, 3) if drawing else None,
            decode_s=round(drawing.decode_s, 3) if drawing else None,
        )

    def _log(self, ticket: Ticket, event: str, **fields: object) -> None:
        payload = ticket.payload
        log(
            "error" if event == "request_failed" else "info",
            event,
            job=payload.job.prefix if payload.job else None,
            attempt=payload.job.attempt if payload.job else None,
            size=f"{payload.width}x{payload.height}",
            count=payload.num_images_per_prompt,
            step=ticket.step,
            steps=payload.num_inference_steps,
            scheduler=payload.scheduler,
            **fields,
        )


def _shutting_down() -> ShuttingDown:
    return ShuttingDown("This server is shutting down: send the request again.", retry_after_s=1)


def _out_of_memory() -> OutOfMemory:
    return OutOfMemory("There is not enough memory for this request: ask for fewer or smaller pictures.")


def _model_error(exc: Exception) -> ModelError:
    # The first line only: what models raise can be pages long.
    first_line = (str(exc).strip().splitlines() or [""])[0][:300]
    return ModelError(f"The model failed while drawing: {type(exc).__name__}: {first_line}")
