"""The model server against a raw loop over the stock pipeline, and with eight clients against LitServe as well."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from bench.drawing import Request, request, requests
from bench.pairs import Comparison, Plan, alternate, print_comparisons
from bench.processes import (
    Worker,
    ask_lit,
    ask_ours,
    at_the_same_time,
    levels_apart,
    lit_server,
    our_server,
    worker,
)

ONE_BY_ONE = 2
CLIENTS = 8
REQUESTS_A_CLIENT = 2
Ask = Callable[[Request], str]


def measure_one_client(model: Path, plan: Plan) -> None:
    """Print the server's overhead per picture."""
    with (
        worker("raw", model, log=plan.folder / "raw.log") as raw,
        our_server(model, plan.folder / "server.log") as port,
        our_server(model, plan.folder / "checked.log", checked=True) as checked_port,
    ):
        check_same_picture(raw, lambda asked: ask_ours(port, asked))
        rounds = alternate(
            "server",
            {
                "raw": lambda number: raw_seconds(raw, number, ONE_BY_ONE),
                "server": lambda number: _one_client(lambda asked: ask_ours(port, asked), number),
                "checked": lambda number: _one_client(lambda asked: ask_ours(checked_port, asked), number),
            },
            plan,
        )
    print_comparisons(
        f"One client, {ONE_BY_ONE} pictures of 128 px one after the other: time a picture against a raw loop",
        [
            Comparison("server without its output check / raw loop", "server", "raw", "at most", 1.05),
            Comparison("server with its output check / raw loop", "checked", "raw"),
        ],
        rounds,
    )


def measure_many_clients(model: Path, plan: Plan) -> None:
    """Print the throughput with eight clients."""
    with (
        worker("raw", model, log=plan.folder / "raw.log") as raw,
        our_server(model, plan.folder / "server.log") as port,
        lit_server(model, plan.folder / "litserve.log") as lit_port,
    ):
        check_same_picture(raw, lambda asked: ask_ours(port, asked))
        check_same_picture(raw, lambda asked: ask_lit(lit_port, asked))
        rounds = alternate(
            "clients",
            {
                "raw": lambda number: raw_seconds(raw, number, CLIENTS),
                "server": lambda number: _many_clients(lambda asked: ask_ours(port, asked), number),
                "litserve": lambda number: _many_clients(lambda asked: ask_lit(lit_port, asked), number),
            },
            plan,
        )
    print_comparisons(
        f"{CLIENTS} clients, {REQUESTS_A_CLIENT} pictures of 128 px each: throughput (no output check)",
        [
            # The figures are seconds per picture, so their inverted ratio is that of the throughputs.
            Comparison("server / raw loop", "raw", "server", "at least", 1.35),
            Comparison("server / LitServe with batch 8", "litserve", "server", "at least", 0.95),
            Comparison("LitServe with batch 8 / raw loop", "raw", "litserve"),
        ],
        rounds,
    )


def raw_seconds(raw: Worker, number: int, count: int) -> float:
    """Return the raw loop's seconds per picture in round `number`."""
    return float(raw.ask(requests=[vars(asked) for asked in requests(number, count)])["seconds"]) / count


def check_same_picture(raw: Worker, ask: Ask) -> None:
    """Raise RuntimeError unless a contestant draws the same as the raw loop, or it would do different work."""
    asked = request(987)
    apart = levels_apart(raw.ask(requests=[vars(asked)], show=True)["data"], ask(asked))
    if apart > 1:
        raise RuntimeError(f"the contestants draw other pictures: {apart} levels of 255 apart")


def _one_client(ask: Ask, number: int) -> float:
    wanted = requests(number, ONE_BY_ONE)
    began = time.perf_counter()
    for asked in wanted:
        ask(asked)
    return (time.perf_counter() - began) / len(wanted)


def _many_clients(ask: Ask, number: int) -> float:
    wanted = requests(number, CLIENTS * REQUESTS_A_CLIENT)
    began = time.perf_counter()
    at_the_same_time(CLIENTS, wanted, ask)
    return (time.perf_counter() - began) / len(wanted)
