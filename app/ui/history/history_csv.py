"""The history as a file for spreadsheets: every job that fits the filter, one line each."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

from app.i18n.texts import decimal_comma
from app.ui.history.job_filter import JobFilter, find_jobs
from services.formats.csv_cells import csv_file
from services.records import Job, Page

MOST_ROWS = 10_000
READ_AT_ONCE = 1000
COLUMNS = (
    "job",
    "created_at",
    "status",
    "prompt",
    "negative_prompt",
    "task",
    "model",
    "model_revision",
    "width",
    "height",
    "steps",
    "guidance",
    "scheduler",
    "quality",
    "seed",
    "count",
    "estimated_cost_usd",
    "cost_usd",
    "gpu_s",
    "total_s",
    "withheld",
    "error_code",
    "error",
)


def history_csv(list_jobs: Callable[..., Page[Job]], wanted: JobFilter) -> bytes:
    """Returns UTF-8 with a byte order mark, newest first, at most `MOST_ROWS` jobs; times in UTC, prices in US dollars.

    `list_jobs` is as in `find_jobs`. The form is as in `csv_file`, for the reader's language.
    """
    jobs = itertools.islice(_all(list_jobs, wanted), MOST_ROWS)
    return csv_file(COLUMNS, map(_row, jobs), decimal_comma=decimal_comma())


def _all(list_jobs: Callable[..., Page[Job]], wanted: JobFilter) -> Iterator[Job]:
    after = None
    while True:
        page = find_jobs(list_jobs, wanted, after=after, limit=READ_AT_ONCE)
        yield from page.items
        after = page.next
        if after is None:
            return


def _row(job: Job) -> tuple[object, ...]:
    spec, failure = job.spec, job.failure
    return (
        job.id,
        job.created_at.isoformat(),
        job.status.value,
        spec.prompt,
        spec.negative_prompt,
        spec.task.value,
        spec.model,
        spec.model_revision,
        spec.width,
        spec.height,
        spec.steps,
        spec.guidance,
        spec.scheduler,
        spec.quality,
        spec.seed,
        spec.count,
        job.estimate.cost_usd,
        job.cost_usd,
        job.gpu_s,
        job.timings.total_s if job.timings else None,
        len(job.withheld),
        failure.code if failure else None,
        failure.message if failure else None,
    )
