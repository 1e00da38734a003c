"""The data stored for a person's jobs: records, input pictures, and the endpoint's answers."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from services.aws.objects import Objects
from services.clock import now
from services.records import Job, Record, User
from services.store import keys
from services.store.finished_jobs import FinishedJobs
from services.store.jobs import JobStore
from services.store.kept_data import Erased, ErasureSteps, KeptData, TakenAway
from services.store.person_records import PersonRecords
from services.store.tombstones import Tombstones

# Twenty thousand jobs and more; the ZIP says if some are left out.
MOST_JOBS_BYTES = 24 * 1024 * 1024
# Notes that lead to jobs.
NOTES = (keys.IDEMPOTENCY, keys.SAME, keys.DRAFTS)


class KeptJobs(KeptData):
    """Ended jobs. Register it last: while a job's record exists, its erasure can be repeated."""

    kinds = frozenset({keys.JOB, *NOTES})
    not_taken_away = ("what you drew over (kept for 30 days only)",)

    def __init__(
        self,
        store: JobStore,
        finished: FinishedJobs,
        tombstones: Tombstones,
        records: PersonRecords,
        buckets: tuple[Objects, Objects],
        *,
        longest_run_s: float,
    ) -> None:
        """`longest_run_s` is the longest time a back end may work on a job after its invocation."""
        self._store = store
        self._finished = finished
        self._tombstones = tombstones
        self._records = records
        self._buckets = buckets
        self._longest_run_s = longest_run_s

    def begin_erasing(self, user_id: str) -> ErasureSteps:
        """Marks every ended job as erased. Cancel markers that a container may still need stay until it reports."""
        ended = [job for job in self._store.every(user_id) if job.status.terminal]
        markers = {keys.cancel_marker(job.user_id, job.id) for job in ended if self._may_still_run(job)}
        for job in ended:
            self._tombstones.put(user_id, job.id)

        def objects() -> int:
            gone = 0
            for bucket in self._buckets:
                gone += bucket.erase(f"{user_id}/", keep=markers)
                gone += bucket.erase(keys.failures_prefix(user_id))
            return gone

        def records() -> Erased:
            for kind in NOTES:
                self._records.remove_all(user_id, kind)
            for job in ended:
                self._finished.remove(job)
            return Erased(jobs=len(ended))

        return ErasureSteps(objects, records)

    def _may_still_run(self, job: Job) -> bool:
        ended = job.completed_at or job.created_at
        return job.invoked_at is not None and now() - ended < timedelta(seconds=self._longest_run_s)

    def begin_erasing_job(self, job: Job) -> ErasureSteps:
        """Marks the job as erased."""
        self._tombstones.put(job.user_id, job.id)

        def objects() -> int:
            gone = 0
            for bucket in self._buckets:
                gone += bucket.erase(keys.job_prefix(job.user_id, job.id) + "/")
                gone += bucket.erase(keys.failures_prefix(job.user_id, job.id))
            return gone

        def records() -> Erased:
            self._finished.remove_with_notes(job)
            return Erased(jobs=1)

        return ErasureSteps(objects, records)

    def take_away(self, user: User) -> tuple[TakenAway, ...]:
        """Returns all job records that fit. One AWS call for each 1,000."""
        jobs, cut = _lines(self._store.every(user.id))
        about = "your jobs, the newest first, one JSON object a line"
        if cut:
            about += f"; the oldest did not fit into {MOST_JOBS_BYTES // 1024**2} MB"
        return (TakenAway("records/jobs.jsonl", (about,), jobs),)


def _lines(records: Iterable[Record]) -> tuple[bytes, bool]:
    """Returns one JSON object per line, as many as fit, and whether some did not."""
    lines: list[bytes] = []
    size_bytes = 0
    for record in records:
        line = record.model_dump_json(exclude_none=True).encode("utf-8") + b"\n"
        size_bytes += len(line)
        if size_bytes > MOST_JOBS_BYTES:
            return b"".join(lines), True
        lines.append(line)
    return b"".join(lines), False
