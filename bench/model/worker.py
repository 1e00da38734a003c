"""One contestant's process: `python -m bench.model.worker KIND ...` answers every JSON line with another.

raw FOLDER               {"requests": [...]} -> {"seconds"}; with "show" also {"data"}, the first picture
batches FOLDER           {"requests": [...], "at_once": N} -> {"seconds"}
threads FOLDER           {"requests": [...], "way": NAME} -> {"seconds", "right"}
encodings                {"way": NAME, "side_px": N} -> {"seconds", "bytes"}
"""

from __future__ import annotations

import base64
import io
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as PillowImage

from bench.drawing import Request
from inference.encoding import encode_exactly
from inference.pipelines.family import Pixels

Answer = dict[str, Any]
Worker = Callable[[dict[str, Any]], Answer]


def raw_loop(folder: str) -> Worker:
    """Draw with the stock pipeline, one request after another, encoding each."""
    from bench.model import plain

    pipe = plain.load(folder)

    def answer(asked: dict[str, Any]) -> Answer:
        wanted = _requests(asked)
        began = time.perf_counter()
        files = [plain.encode(plain.draw(pipe, [request])[0]) for request in wanted]
        found: Answer = {"seconds": time.perf_counter() - began}
        return {**found, "data": base64.b64encode(files[0]).decode()} if asked.get("show") else found

    return answer


def batches(folder: str) -> Worker:
    """Draw with the server's model, in this thread, `at_once` requests per pass."""
    from bench.model.contestants import draw_at_once, load_ours

    model = load_ours(Path(folder))

    def answer(asked: dict[str, Any]) -> Answer:
        wanted, at_once = _requests(asked), int(asked["at_once"])
        began = time.perf_counter()
        draw_at_once(model, wanted, at_once)
        return {"seconds": time.perf_counter() - began}

    return answer


def threads(folder: str) -> Worker:
    """Draw simultaneous requests in one of three ways; see `contestants.Ways`."""
    from bench.model.contestants import Ways

    ways = Ways(folder)

    def answer(asked: dict[str, Any]) -> Answer:
        began = time.perf_counter()
        pictures = ways.draw(asked["way"], _requests(asked))
        return {"seconds": time.perf_counter() - began, "right": ways.count_right(pictures)}

    return answer


def encodings() -> Worker:
    """Encode one photo-like picture: `png1` and `webp` as the server does, `png6` with Pillow's defaults."""
    pictures: dict[int, Pixels] = {}

    def png6(pixels: Pixels) -> bytes:
        stream = io.BytesIO()
        PillowImage.fromarray(pixels).save(stream, "PNG", compress_level=6)
        return stream.getvalue()

    ways: dict[str, Callable[[Pixels], bytes]] = {
        "png6": png6,
        "png1": lambda pixels: encode_exactly(pixels, "png"),
        "webp": lambda pixels: encode_exactly(pixels, "webp"),
    }

    def answer(asked: dict[str, Any]) -> Answer:
        side_px = int(asked["side_px"])
        pixels = pictures.setdefault(side_px, photo(side_px))
        began = time.perf_counter()
        file = ways[asked["way"]](pixels)
        seconds = time.perf_counter() - began
        decoded = np.asarray(PillowImage.open(io.BytesIO(file)).convert("RGB"))
        if not np.array_equal(decoded, pixels):
            raise RuntimeError(f"{asked['way']} did not keep the picture")
        return {"seconds": seconds, "bytes": len(file)}

    return answer


def photo(side_px: int) -> Pixels:
    """Return uint8 (side, side, 3) that compresses about like a photo: amplitudes fall with frequency, plus grain.

    In photos they fall about with its first power (Field 1987); a camera's smoothing makes it slightly more.
    """
    random = np.random.default_rng(0)
    frequency = np.hypot(np.fft.fftfreq(side_px)[:, None], np.fft.rfftfreq(side_px)[None, :])
    frequency[0, 0] = np.inf
    channels = []
    for _ in range(3):
        noise = np.fft.rfft2(random.standard_normal((side_px, side_px)))
        smooth = np.fft.irfft2(noise / frequency**1.3, s=(side_px, side_px))
        channels.append(smooth / smooth.std() * 50 + 128 + random.standard_normal((side_px, side_px)) / 2)
    pixels: Pixels = np.clip(np.stack(channels, axis=-1), 0, 255).astype(np.uint8)
    return pixels


KINDS: dict[str, Callable[..., Worker]] = {
    "raw": raw_loop,
    "batches": batches,
    "threads": threads,
    "encodings": encodings,
}


def _requests(asked: dict[str, Any]) -> list[Request]:
    return [Request(**fields) for fields in asked["requests"]]


def main(arguments: list[str]) -> None:
    """Load, report readiness with an empty answer, and answer until standard input ends."""
    # Library output goes to the log, not between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    worker = KINDS[arguments[0]](*arguments[1:])
    print("{}", file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(worker(json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
