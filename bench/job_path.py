"""A job from submit to stored picture: the time in addition to the model's, and a count of every AWS call."""

from __future__ import annotations

import statistics
import time
from collections import Counter

from bench.stack import MAKER, Stack
from bench.table import print_table
from services.clock import now
from services.records import Job, JobRequest

JOBS = 30
LIMIT_S = 120.0
BY_THE_CLOCK = {"sagemaker DescribeEndpoint", "dynamodb BatchGetItem"}


def measure(stack: Stack) -> None:
    """Runs jobs one after another on the warm endpoint and prints two tables."""
    run(stack, 0)
    before = Counter(stack.counter.calls)
    beyond, model = [], []
    counts = []
    for seed in range(1, JOBS + 1):
        start_calls = Counter(stack.counter.calls)
        job = run(stack, seed)
        assert job.completed_at and job.timings
        total_s = (job.completed_at - job.created_at).total_seconds()
        model.append(job.timings.total_s)
        beyond.append(total_s - job.timings.total_s)
        time.sleep(0.3)  # The last acknowledgement and the look for waiting jobs come after the picture.
        counts.append(_work(Counter(stack.counter.calls) - start_calls))
    milliseconds = [s * 1000 for s in beyond]
    deciles = statistics.quantiles(milliseconds, n=20)
    print_table(
        f"Job path beyond model time, {JOBS} jobs one after the other",
        ["", "p50", "p95", "target p95"],
        [
            ["beyond the model, ms", f"{deciles[9]:.0f}", f"{deciles[18]:.0f}", "300"],
            [
                "share of the model's own time",
                f"{statistics.median(beyond) / statistics.median(model):.2f}",
                "",
                "",
            ],
        ],
    )
    calls = _work(Counter(stack.counter.calls) - before)
    rows = [[name, f"{number / JOBS:.2f}"] for name, number in sorted(calls.items())]
    clock = {name: stack.counter.calls[name] - before[name] for name in sorted(BY_THE_CLOCK)}
    rows += [
        [f"{name} (by the clock, not counted)", f"{number / JOBS:.2f}"] for name, number in clock.items()
    ]
    per_job = sorted(sum(c.values()) for c in counts)
    rows.append(["all (median of the jobs; target 12)", str(per_job[len(per_job) // 2])])
    print_table("AWS calls for one text-to-image job, submit to stored", ["call", "a job"], rows)


def run(stack: Stack, seed: int) -> Job:
    """Submits one job and waits for the worker thread to report its end, without reading the table."""
    studio = stack.studio
    request = JobRequest(prompt="a red apple", seed=seed)
    job = studio.jobs.submit(MAKER, request, idempotency_key=f"bench-{seed}")
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        time.sleep(0.05)
        found = stack.observer.find(MAKER.id, job.id)
        if found and found.status.terminal:
            assert found.status.value == "succeeded", found.failure
            return found
    raise SystemExit(f"the job did not end in {LIMIT_S:.0f} s, at {now()}")


def _work(calls: Counter[str]) -> Counter[str]:
    """Return the calls caused by a job. Excludes periodic calls: empty receives, and reads of the endpoint's state and
    the model's speed, which each process makes once regardless of the number of jobs.

    One receive per job delivers its notification; the others returned nothing.
    """
    work = Counter({name: number for name, number in calls.items() if name not in BY_THE_CLOCK})
    receives = work.pop("sqs ReceiveMessage", 0)
    if receives:
        work["sqs ReceiveMessage (that found one)"] = min(receives, calls["sqs DeleteMessage"])
    return work
