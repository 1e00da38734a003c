"""Ways to draw requests in one process: the server's model and engine, and naive alternatives."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.drawing import Request
from bench.model import plain
from inference.contract import Payload
from inference.engine import Engine
from inference.pipelines.family import Drawing, Model, Pixels
from inference.pipelines.found_model import find_model
from inference.pipelines.load_model import load_model
from inference.pipelines.speed import SpeedWishes
from inference.progress import ProgressReporter

# Batches of other sizes round differently.
LEVELS_APART = 1
# The result of a thread whose pipeline failed.
FAILED = None


class Unwatched:
    """Ignores the steps."""

    def on_step(self, step: int, preview: Callable[[int], Pixels]) -> frozenset[int]:
        """Keep all requests."""
        return frozenset()


def load_ours(folder: Path, wishes: SpeedWishes | None = None) -> Model:
    """Return the server's model with the number of threads set in torch."""
    return load_model(find_model(folder)[0], torch.get_num_threads(), wishes)


def payload(request: Request) -> Payload:
    """Return the request as the server parses it."""
    return Payload.model_validate(request.payload())


def draw_at_once(model: Model, requests: Sequence[Request], at_once: int) -> list[Drawing]:
    """Draw the requests in passes of `at_once`."""
    drawings = []
    for start in range(0, len(requests), at_once):
        payloads = [payload(request) for request in requests[start : start + at_once]]
        drawings += [drawing for drawing in model.draw(payloads, Unwatched()) if drawing is not None]
    return drawings


class Ways:
    """Draws the same simultaneous requests in one of three ways:

    `one_model_thread`: the server's engine, which may draw some of them together;
    `shared_pipeline`: one thread per request, all using one stock pipeline;
    `pipeline_a_thread`: one thread per request, each with its own stock pipeline and weights.
    """

    def __init__(self, folder: str) -> None:
        self._engine = Engine(
            load=lambda: load_ours(Path(folder)),
            queue_size=64,
            reporter=ProgressReporter(),
            on_failed_start=_fail,
        )
        # Before the engine loads, because two threads cannot load the libraries at the same time.
        self._pipe = plain.load(folder)
        self._engine.start()
        self._own: list[Any] = []
        self._truth: list[Pixels] = []

    def draw(self, way: str, requests: Sequence[Request]) -> list[Pixels | None]:
        """Return one picture per request, None where it failed. The first way's pictures are the reference."""
        if way == "one_model_thread":
            tickets = [self._engine.submit(payload(request)) for request in requests]
            drawings = [ticket.done.result().drawing for ticket in tickets]
            # A request that is not canceled has its drawing.
            self._truth = [drawing.pictures[0] for drawing in drawings if drawing is not None]
            return list(self._truth)
        if way == "shared_pipeline":
            return _a_thread_each([self._pipe] * len(requests), requests)
        while len(self._own) < len(requests):
            self._own.append(copy.deepcopy(self._pipe))
        return _a_thread_each(self._own, requests)

    def count_right(self, pictures: Sequence[Pixels | None]) -> int:
        """Return how many are within a level of 255 of the model thread's pictures for the same requests."""
        return sum(
            picture is not FAILED and int(np.abs(picture.astype(int) - truth).max()) <= LEVELS_APART
            for picture, truth in zip(pictures, self._truth, strict=True)
        )


def _a_thread_each(pipes: Sequence[Any], requests: Sequence[Request]) -> list[Pixels | None]:
    pictures: list[Pixels | None] = [FAILED] * len(requests)

    def draw(index: int) -> None:
        try:
            pictures[index] = np.asarray(plain.draw(pipes[index], [requests[index]])[0])
        except Exception:  # noqa: BLE001 - pipelines are not thread-safe: every failure is counted
            pictures[index] = FAILED

    threads = [threading.Thread(target=draw, args=(index,)) for index in range(len(requests))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return pictures


def _fail(exc: Exception) -> None:
    raise exc
