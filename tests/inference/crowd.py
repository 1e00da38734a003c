"""Sends concurrent requests to a server, and compares their pictures."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
from PIL import Image

from inference.pipelines.family import Pixels
from tests.inference.client import Answer, invoke, wait_until
from tests.inference.conftest import LocalServer


def waits(server: LocalServer, count: int) -> bool:
    """Return whether `count` requests are in the queue."""
    return server.engine.waiting == count


def queue_up(
    server: LocalServer, pool: ThreadPoolExecutor, requests: Sequence[dict[str, Any]]
) -> list[Future[Answer]]:
    """Queue `requests` in order behind a one-step request that is held; `release` starts them all."""
    server.model.hold()
    blocker = pool.submit(invoke, server.port, num_inference_steps=1)
    assert server.model.held.wait(20)
    answers = []
    for waiting, changes in enumerate(requests, start=1):
        answers.append(pool.submit(invoke, server.port, **changes))
        wait_until(partial(waits, server, waiting), "queued")
    assert not blocker.done()
    server.model.passes.clear()
    return answers


def draw_together(server: LocalServer, requests: Sequence[dict[str, Any]]) -> list[Answer]:
    """Return the answers to requests that were all queued when the model became free."""
    with ThreadPoolExecutor(len(requests) + 1) as pool:
        answers = queue_up(server, pool, requests)
        server.model.release()
        return [answer.result() for answer in answers]


def pass_sizes(server: LocalServer) -> list[int]:
    """Return the number of pictures in each pass since `queue_up`."""
    return [sum(p.num_images_per_prompt for p in payloads) for payloads in server.model.passes]


def pixels(answer: Answer) -> list[Pixels]:
    """Return the pictures of a successful answer."""
    assert answer.status == 200, answer.body[:500]
    files = [base64.b64decode(image["data"]) for image in answer.json["images"]]
    return [np.asarray(Image.open(io.BytesIO(file)).convert("RGB")) for file in files]


def difference(some: Sequence[Pixels], others: Sequence[Pixels]) -> int:
    """Return the largest difference between the pictures, in levels of 255."""
    return max(int(np.abs(a.astype(int) - b.astype(int)).max()) for a, b in zip(some, others, strict=True))
