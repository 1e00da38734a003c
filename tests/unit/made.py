"""Sample records for tests that need any valid one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from services.records import Estimate, Job, JobSpec, JobStatus

SPEC = JobSpec(
    prompt="a red apple",
    negative_prompt="",
    model="pocket",
    model_revision="r",
    width=128,
    height=128,
    steps=20,
    guidance=4.0,
    scheduler="ddim",
    quality="standard",
    seed=7,
    count=2,
)


def made_job(**changes: Any) -> Job:
    """Return a job in its first attempt, with `changes` to its fields."""
    job = Job(
        id="01ARZ3NDEKTSV4RRFFQ69G5FAV",
        user_id="a" * 32,
        status=JobStatus.STARTING,
        spec=SPEC,
        attempt=1,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        estimate=Estimate(cost_usd=0, at_most_usd=0, run_s=0, cold_start_s=0),
    )
    return job.model_copy(update=changes)
