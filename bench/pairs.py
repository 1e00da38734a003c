"""Alternates contestants, A B A B ..., and compares the ratios of their figures. Standard library only."""

from __future__ import annotations

import json
import os
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench.table import print_table

PAIRS = 20
Round = dict[str, float]


@dataclass(frozen=True)
class Plan:
    """The number of rounds, where to store them, and whether to resume from stored rounds."""

    pairs: int
    folder: Path
    resume: bool = False


@dataclass(frozen=True)
class Comparison:
    """The ratio of two contestants' figures, `of` to `to`, and the target for its median (None: no target)."""

    label: str
    of: str
    to: str
    aim: Literal["at most", "at least"] = "at most"
    target: float | None = None


def alternate(name: str, contestants: Mapping[str, Callable[[int], float]], plan: Plan) -> list[Round]:
    """Give every contestant a turn in each round and return the figures, one dict per round.

    A contestant gets the round's number and returns its figure (seconds per picture, or pictures per second). One
    uncounted warm-up round comes first. Every finished round is appended to `NAME.jsonl` in the
    plan's folder at once; `resume` starts from the stored rounds if they have the same contestants.
    """
    file = plan.folder / f"{name}.jsonl"
    rounds = _kept(file, set(contestants)) if plan.resume else []
    if len(rounds) >= plan.pairs:
        return rounds
    plan.folder.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(figures) + "\n" for figures in rounds))
    for contestant in contestants.values():
        contestant(0)
    for number in range(len(rounds) + 1, plan.pairs + 1):
        figures = {name: contestant(number) for name, contestant in contestants.items()}
        rounds.append(figures)
        with file.open("a") as stream:
            stream.write(json.dumps(figures) + "\n")
    return rounds


def quartiles(numbers: Sequence[float]) -> tuple[float, float, float]:
    """Return the lower quartile, the median and the upper quartile."""
    if len(numbers) == 1:
        return numbers[0], numbers[0], numbers[0]
    lower, median, upper = statistics.quantiles(numbers, n=4, method="inclusive")
    return lower, median, upper


def compare(comparison: Comparison, rounds: Sequence[Round]) -> list[str]:
    """Return the comparison's row: label, median, quartiles, target, and whether it was met."""
    ratios = [figures[comparison.of] / figures[comparison.to] for figures in rounds]
    lower, median, upper = quartiles(ratios)
    row = [comparison.label, f"{median:.2f}", f"{lower:.2f}-{upper:.2f}"]
    if comparison.target is None:
        return [*row, "", ""]
    met = median <= comparison.target if comparison.aim == "at most" else median >= comparison.target
    return [*row, f"{comparison.aim} {comparison.target:g}", "yes" if met else "NO"]


def print_comparisons(title: str, comparisons: Sequence[Comparison], rounds: Sequence[Round]) -> None:
    """Print the table of one benchmark, and below it the machine's load at its end."""
    print_table(
        f"{title}; {len(rounds)} pairs",
        ["ratio", "median", "quartiles", "target", "met"],
        [compare(comparison, rounds) for comparison in comparisons],
    )
    print(f"\nload average {os.getloadavg()[0]:.1f} at its end", flush=True)


def _kept(file: Path, contestants: set[str]) -> list[Round]:
    try:
        lines = file.read_text().splitlines(keepends=True)
    except FileNotFoundError:
        return []
    # The last line is truncated if the run was killed while writing it.
    rounds: list[Round] = [json.loads(line) for line in lines if line.endswith("\n")]
    return rounds if all(set(figures) == contestants for figures in rounds) else []
