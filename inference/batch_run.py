"""Draws a batch of requests in as few passes as it takes; each request ends by itself.

A pass that fails is tried again in smaller ones, so that a request fails for its own reasons only:

- out of memory: two halves; a half of several requests that does not fit either, each request alone; a request of
  several pictures alone, two halves of it; then the request has failed;
- anything else: each request alone; then the request has failed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from inference.batching import PassSizes, batch_key, cut, halve, spans
from inference.contract import Payload
from inference.errors import InferenceError, ModelError, OutOfMemory
from inference.logs import describe_failure, log
from inference.pipelines.family import Drawing, Model, Pixels
from inference.progress import JobReport, ProgressReporter
from inference.tickets import Outcome, Ticket


class NobodyLeft(Exception):
    """Raised between two steps when no request of this pass is wanted any more."""


class Member:
    """One request of a running batch and its finished pictures."""

    def __init__(self, ticket: Ticket, queue_s: float, load_s: float) -> None:
        self.ticket = ticket
        self.queue_s = queue_s
        self.load_s = load_s
        self.report: JobReport | None = None
        self.left = False
        self._gpu_s = 0.0
        self._batch_pictures = 0
        self._drawn: dict[int, Drawing] = {}

    def note_step(self, step: int, pictures: range) -> None:
        """Count a step of the pass that draws `pictures`, as a step of the whole request."""
        asked = self.ticket.payload
        before = sum(len(drawing.pictures) for drawing in self._drawn.values())
        steps = before * asked.steps_to_draw + step * len(pictures)
        self.ticket.step = steps // asked.num_images_per_prompt
        if self.report is not None:
            self.report.step = self.ticket.step

    def leaves(self, gpu_s: float, batch_pictures: int) -> bool:
        """Return whether the request is no longer wanted; the first time, end and log it.

        `gpu_s` and `batch_pictures` describe the running pass.
        """
        ticket = self.ticket
        if self.left:
            return True
        if ticket.stop is None and ticket.is_overdue():
            ticket.expire()
        if ticket.stop is not None:
            ticket.log("request_stopped", reason=ticket.stop)
            ticket.done.cancel()
        elif self.report is not None and self.report.canceled:
            self._gpu_s += gpu_s
            self._batch_pictures = max(self._batch_pictures, batch_pictures)
            ticket.log("request_canceled", **self._costs())
            ticket.succeed(self._outcome(None))
        else:
            return False
        self.close()
        return True

    def add(self, first: int, drawing: Drawing, gpu_s: float, batch_pictures: int) -> None:
        """Store the pictures from `first` on; answer the request once it has all of them."""
        self._drawn[first] = drawing
        self._gpu_s += gpu_s
        self._batch_pictures = max(self._batch_pictures, batch_pictures)
        parts = [self._drawn[at] for at in sorted(self._drawn)]
        pictures = [picture for part in parts for picture in part.pictures]
        if len(pictures) < self.ticket.payload.num_images_per_prompt:
            return
        whole = Drawing(
            pictures=pictures,
            encode_text_s=sum(part.encode_text_s for part in parts),
            denoise_s=sum(part.denoise_s for part in parts),
            decode_s=sum(part.decode_s for part in parts),
            peak_memory_bytes=max(part.peak_memory_bytes for part in parts),
        )
        self.close()
        self.ticket.log(
            "request_drawn",
            **self._costs(),
            encode_text_s=round(whole.encode_text_s, 3),
            denoise_s=round(whole.denoise_s, 3),
            decode_s=round(whole.decode_s, 3),
            peak_memory_bytes=whole.peak_memory_bytes,
        )
        self.ticket.succeed(self._outcome(whole))

    def fail(self, error: InferenceError) -> None:
        """Answer the request with `error`."""
        self.close()
        self.ticket.log("request_failed", code=error.code)
        self.ticket.fail(error)

    def close(self) -> None:
        """Release the request: nothing more is drawn or reported for it."""
        self.left = True
        if self.report is not None:
            self.report.close()

    def _outcome(self, drawing: Drawing | None) -> Outcome:
        return Outcome(
            drawing=drawing,
            step=self.ticket.step,
            queue_s=self.queue_s,
            load_s=self.load_s,
            gpu_s=self._gpu_s,
            batch_pictures=self._batch_pictures,
        )

    def _costs(self) -> dict[str, object]:
        return {
            "queue_s": round(self.queue_s, 3),
            "load_s": round(self.load_s, 3),
            "gpu_s": round(self._gpu_s, 3),
            "batch_pictures": self._batch_pictures,
        }


@dataclass(frozen=True)
class Piece:
    """The part of a request that one pass draws: all of its pictures, or a range."""

    member: Member
    pictures: range

    @property
    def payload(self) -> Payload:
        """The request for these pictures."""
        return cut(self.member.ticket.payload, self.pictures.start, len(self.pictures))

    def is_whole(self) -> bool:
        """Return whether the piece is the whole request."""
        return len(self.pictures) == self.member.ticket.payload.num_images_per_prompt


class BatchRun:
    """The batch on the model thread. `run` belongs to that thread; the other methods may be called from any."""

    def __init__(self, model: Model, tickets: Sequence[Ticket], sizes: PassSizes, loaded: float) -> None:
        """`loaded` is when the model was ready (time.monotonic()); waiting for it does not count as queueing."""
        self._model = model
        self._sizes = sizes
        self.started = self.moved = time.monotonic()
        self.members = [self._member(ticket, loaded) for ticket in tickets]
        self._key = batch_key(tickets[0], model)

    def run(self, reporter: ProgressReporter) -> None:
        """Draw all requests; every one of them is answered afterwards."""
        for member in self.members:
            asked = member.ticket.payload
            if asked.job is not None:
                member.report = reporter.begin(asked.job, asked.steps_to_draw)
        longest = self._sizes.limit(self._key)
        pieces = [
            Piece(member, span)
            for member in self.members
            for span in spans(member.ticket.payload.num_images_per_prompt, longest)
        ]
        try:
            # The requests were chosen to fit into one pass.
            for group in [pieces] if len(self.members) > 1 else [[piece] for piece in pieces]:
                self._draw(group)
        finally:
            for member in self.members:
                member.close()
                if not member.ticket.done.done():
                    # Whatever failed, no client may wait forever.
                    member.fail(ModelError("The server failed while drawing; its log says where."))

    def is_hung(self, after_s: float) -> bool:
        """Return whether an unwanted request blocks the model thread, without a step for `after_s`."""
        unheard = any(member.ticket.stop is not None and not member.left for member in self.members)
        return unheard and time.monotonic() - self.moved > after_s

    def remaining_s(self, usual_s: float) -> float:
        """Return roughly how long the batch still takes, from its steps so far or the usual duration."""
        elapsed_s = time.monotonic() - self.started
        ticket = next((m.ticket for m in self.members if not m.left), None)
        if ticket is None or ticket.step == 0:
            return max(0.0, usual_s - elapsed_s)
        return elapsed_s * (ticket.payload.steps_to_draw - ticket.step) / ticket.step

    def _member(self, ticket: Ticket, loaded: float) -> Member:
        waited_s = self.started - ticket.queued
        load_s = min(waited_s, max(0.0, loaded - ticket.queued))
        return Member(ticket, queue_s=waited_s - load_s, load_s=load_s)

    def _draw(self, pieces: Sequence[Piece], halved: bool = False) -> None:
        """Draw the wanted part of `pieces` in one pass; in smaller passes if it fails."""
        pieces = [piece for piece in pieces if not piece.member.leaves(0.0, 0)]
        if not pieces:
            return
        running = _Pass(self, pieces)
        drawings: list[Drawing | None] = []
        failure: InferenceError | None = None
        try:
            drawings = self._model.draw([piece.payload for piece in pieces], running)
        except NobodyLeft:
            pass
        except Exception as exc:  # noqa: BLE001 - the edge: whatever a model raises, the next request is served
            failure = _describe(exc, pieces)
        # Outside the handler, whose exception's frames hold the tensors to be freed.
        if failure is not None:
            self._model.free_memory()
            self._draw_smaller(pieces, failure, halved)
        elif not drawings:
            self._model.free_memory()
        else:
            # Measured once: the time to answer one request must not be charged to another.
            shares = [running.share_s(piece) for piece in pieces]
            for piece, drawing, gpu_s in zip(pieces, drawings, shares, strict=True):
                if not piece.member.leaves(gpu_s, running.count) and drawing is not None:
                    piece.member.add(piece.pictures.start, drawing, gpu_s, running.count)

    def _draw_smaller(self, pieces: Sequence[Piece], failure: InferenceError, halved: bool) -> None:
        out_of_memory = isinstance(failure, OutOfMemory)
        if out_of_memory:
            self._sizes.shrink(self._key, sum(len(piece.pictures) for piece in pieces))
        if len(pieces) > 1:
            if out_of_memory and not halved:
                at = halve(len(piece.pictures) for piece in pieces)
                self._draw(pieces[:at], halved=True)
                self._draw(pieces[at:], halved=True)
            else:
                for piece in pieces:
                    self._draw([piece])
            return
        piece = pieces[0]
        count = len(piece.pictures)
        if out_of_memory and count > 1 and piece.is_whole():
            for span in spans(count, -(-count // 2)):
                self._draw([Piece(piece.member, span)])
        elif not piece.member.leaves(0.0, 0):
            piece.member.fail(failure)


class _Pass:
    """The engine's view of a running pass: counts steps, feeds the reports, and ends requests."""

    def __init__(self, batch: BatchRun, pieces: Sequence[Piece]) -> None:
        self._batch = batch
        self._pieces = pieces
        self._started = batch.moved = time.monotonic()
        self.count = sum(len(piece.pictures) for piece in pieces)

    def share_s(self, piece: Piece) -> float:
        """Return the piece's share, by pictures, of the seconds since the pass began."""
        return (time.monotonic() - self._started) * len(piece.pictures) / self.count

    def on_step(self, step: int, preview: Callable[[int], Pixels]) -> frozenset[int]:
        """Note a step; raises `NobodyLeft` when every request has ended."""
        self._batch.moved = time.monotonic()
        gone = set()
        followed = []
        for i, piece in enumerate(self._pieces):
            member = piece.member
            if not member.left:
                member.note_step(step, piece.pictures)
            if member.leaves(self.share_s(piece), self.count):
                gone.add(i)
            # The preview is of a request's first picture.
            elif member.report is not None and piece.pictures.start == 0:
                followed.append((i, member.report))
        if len(gone) == len(self._pieces):
            raise NobodyLeft
        for i, report in followed:
            if step < report.steps and report.wants_preview():
                started = time.monotonic()
                pixels = preview(i)
                # All previews together are limited to the model time of a single one.
                report.offer_preview(pixels, cost_s=(time.monotonic() - started) * len(followed))
        return frozenset(gone)


def _describe(exc: Exception, pieces: Sequence[Piece]) -> InferenceError:
    """Log why a pass failed, without its message, which may quote a prompt, and return it as an answer."""
    log(
        "error",
        "pass_failed",
        requests=len(pieces),
        pictures=sum(len(piece.pictures) for piece in pieces),
        **describe_failure(exc),
    )
    if isinstance(exc, InferenceError):
        # A new exception: this one's frames hold tensors, and several requests can be answered with it.
        return type(exc)(exc.message, param=exc.param, status=exc.status, retry_after_s=exc.retry_after_s)
    if isinstance(exc, MemoryError):
        return OutOfMemory("There is not enough memory for this request: ask for fewer or smaller pictures.")
    # The first line only: what models raise can be pages long.
    first_line = (str(exc).strip().splitlines() or [""])[0][:300]
    return ModelError(f"The model failed while drawing: {type(exc).__name__}: {first_line}")
