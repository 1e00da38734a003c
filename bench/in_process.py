"""Benchmarks within one process: batched drawing, naive threads, encoding."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from bench.drawing import requests
from bench.pairs import Comparison, Plan, alternate, print_comparisons
from bench.processes import Worker, worker
from bench.table import print_table

BATCH = 8
BATCH_SIDE_PX = 64
AT_ONCE = 4
ENCODED_SIDE_PX = 1024


def measure_batch(model: Path, plan: Plan) -> None:
    """Print the gain of drawing eight small pictures in one pass."""
    with worker("batches", model, log=plan.folder / "batches.log") as drawer:

        def seconds(at_once: int, number: int) -> float:
            wanted = [vars(asked) for asked in requests(number, BATCH, side_px=BATCH_SIDE_PX)]
            return float(drawer.ask(requests=wanted, at_once=at_once)["seconds"]) / BATCH

        rounds = alternate("batch", {"alone": partial(seconds, 1), "together": partial(seconds, BATCH)}, plan)
    print_comparisons(
        f"Drawing {BATCH} pictures of {BATCH_SIDE_PX} px in one process: throughput",
        [Comparison("one pass of 8 / eight passes of 1", "alone", "together", "at least", 2.5)],
        rounds,
    )


def measure_threads(model: Path, plan: Plan) -> None:
    """Print the results of naive threading, with one torch thread and with torch's default.

    With one torch thread, one model thread leaves the other cores idle: not a fair contest, shown for information.
    """
    for threads, title in (
        (None, "as many torch threads as cores"),
        (1, "one torch thread, so one core against all"),
    ):
        name = f"threads-{threads or 'all'}"
        target = 1.0 if threads is None else None
        with worker("threads", model, log=plan.folder / f"{name}.log", threads=threads) as drawer:
            right: dict[str, int] = dict.fromkeys(
                ("one_model_thread", "shared_pipeline", "pipeline_a_thread"), 0
            )
            asked = dict(right)

            def rate(way: str, number: int, drawer: Worker = drawer) -> float:
                answer = drawer.ask(requests=[vars(one) for one in requests(number, AT_ONCE)], way=way)
                right[way] += answer["right"]  # noqa: B023 - used within this turn of the loop
                asked[way] += AT_ONCE  # noqa: B023
                return float(answer["right"] / answer["seconds"])

            rounds = alternate(name, {way: partial(rate, way) for way in right}, plan)
        print_comparisons(
            f"{AT_ONCE} requests at the same time, {title}: right pictures a second",
            [
                Comparison(f"{label} / one model thread", way, "one_model_thread", target=target)
                for way, label in (
                    ("shared_pipeline", "a thread a request, one pipeline"),
                    ("pipeline_a_thread", "a thread and a pipeline a request"),
                )
            ],
            rounds,
        )
        shares = [f"{way} {right[way]} of {asked[way]}" for way in right if asked[way]]
        print(f"right pictures, the warm-up's too: {', '.join(shares)}")


def measure_encode(plan: Plan, side_px: int = ENCODED_SIDE_PX) -> None:
    """Print time and size of the picture encodings."""
    sizes: dict[str, int] = {}
    with worker("encodings", log=plan.folder / "encodings.log") as encoder:

        def seconds(way: str, number: int) -> float:
            answer = encoder.ask(way=way, side_px=side_px)
            sizes[way] = int(answer["bytes"])
            return float(answer["seconds"])

        ways = {"png6": "PNG level 6", "png1": "PNG level 1 (default)", "webp": "lossless WebP"}
        rounds = alternate("encode", {way: partial(seconds, way) for way in ways}, plan)
        for way in ways.keys() - sizes.keys():
            seconds(way, 0)
    print_comparisons(
        f"Encoding a photo-like picture of {side_px} px: time",
        [Comparison(f"{ways[way]} / {ways['png6']}", way, "png6") for way in ("png1", "webp")],
        rounds,
    )
    medians = {way: sorted(figures[way] for figures in rounds)[len(rounds) // 2] for way in ways}
    print_table(
        "The same, as it is",
        ["", "ms, median", "kB"],
        [[label, f"{medians[way] * 1000:.0f}", f"{sizes[way] / 1000:.0f}"] for way, label in ways.items()],
    )
