"""Finds the jobs of one model and time among a user's jobs, which the table only lists by status."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from services.records import Job, JobStatus, Page

READ_AT_ONCE = 100
# The most jobs read for one page of the table; the cursor leads to the rest.
MOST_READ = 1000


@dataclass(frozen=True)
class JobFilter:
    """What to show; None is everything. Days are UTC, both ends included."""

    statuses: frozenset[JobStatus] | None = None
    model: str | None = None
    since: date | None = None
    until: date | None = None

    def fits(self, job: Job) -> bool:
        """Whether the job's model and day match; the list query filters by status."""
        day = job.created_at.date()
        return (
            (self.model is None or job.spec.model == self.model)
            and (self.since is None or day >= self.since)
            and (self.until is None or day <= self.until)
        )


def find_jobs(
    list_jobs: Callable[..., Page[Job]], wanted: JobFilter, *, after: str | None, limit: int
) -> Page[Job]:
    """Returns about `limit` matching jobs after `after`, newest first; reads at most `MOST_READ` jobs.

    `list_jobs` takes `limit`, `after` and `statuses`. A page may hold fewer than `limit` jobs and still have a
    next one, and up to `READ_AT_ONCE - 1` more.
    """
    found: list[Job] = []
    cursor = after
    for _ in range(MOST_READ // READ_AT_ONCE):
        page = list_jobs(limit=READ_AT_ONCE, after=cursor, statuses=wanted.statuses)
        found += [job for job in page.items if wanted.fits(job)]
        cursor = page.next
        # Newest first: all jobs after the first one that is too old are too old as well.
        past = wanted.since is not None and page.items and page.items[-1].created_at.date() < wanted.since
        if cursor is None or past:
            return Page[Job](items=tuple(found))
        if len(found) >= limit:
            break
    return Page[Job](items=tuple(found), next=cursor)
