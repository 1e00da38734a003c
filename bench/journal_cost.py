"""Measures what the embedded cloud's journal costs a job: its path with the journal against its path without."""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

from bench.job_path import run
from bench.stack import running_stack
from bench.table import print_table

JOBS = 20
ROUNDS = 3
WITHOUT = "bench.cloud_without_journal"


def measure() -> None:
    """Alternates both, and prints the ratios of the medians."""
    found: dict[str, list[tuple[float, float]]] = {"local.cloud": [], WITHOUT: []}
    for _ in range(ROUNDS):
        for module, paths in found.items():
            with tempfile.TemporaryDirectory() as folder, running_stack(Path(folder), cloud=module) as stack:
                run(stack, 0)
                for seed in range(1, JOBS + 1):
                    job = run(stack, seed)
                    assert job.completed_at and job.timings
                    total_s = (job.completed_at - job.created_at).total_seconds()
                    paths.append((total_s, total_s - job.timings.total_s))
    rows = []
    for name, part in (("submit to stored picture", 0), ("of it, beyond the model's own time", 1)):
        with_ms, without_ms = (
            statistics.median(path[part] for path in found[module]) * 1000
            for module in ("local.cloud", WITHOUT)
        )
        rows.append([name, f"{with_ms:.0f} ms", f"{without_ms:.0f} ms", f"{with_ms / without_ms:.2f}x"])
    print_table(
        f"A job with and without the journal, medians of {ROUNDS * JOBS} jobs each (target 1.1x)",
        ["", "with", "without", "ratio"],
        rows,
    )
