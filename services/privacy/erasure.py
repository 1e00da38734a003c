"""Erases a person's data on request: every object version and every record, with a verified receipt."""

from __future__ import annotations

from collections.abc import Sequence

from services.clock import now
from services.errors import Unavailable
from services.logs import event
from services.records import ErasureReceipt, Job
from services.store.kept_data import Erased, ErasureSteps, KeptData
from services.store.kinds import ERASED
from services.store.person_records import PersonRecords


class Erasure:
    """Runs the registered erasures of all capabilities, in that order, without depending on any of them."""

    def __init__(self, kept: Sequence[KeptData], records: PersonRecords) -> None:
        """Raises ValueError if a kind of record declared as erased has no or more than one capability that erases it,
        or if a capability erases a kind that is not declared."""
        kinds = [kind for each in kept for kind in each.kinds]
        wrong = {kind for kind in ERASED.union(kinds) if kinds.count(kind) != (kind in ERASED)}
        if wrong:
            raise ValueError(
                f"these kinds of records need exactly one capability that erases them, and a line in "
                f"services/store/kinds.py: {', '.join(sorted(wrong))}"
            )
        self._kept = kept
        self._records = records

    def erase_job(self, job: Job) -> ErasureReceipt:
        """Erases one ended job: pictures (in the trash too) with their attachments, inputs, outputs and records.

        A repeated call resumes an interrupted one.
        """
        gone = _run([each.begin_erasing_job(job) for each in self._kept])
        event("job_erased", user=job.user_id, job=job.id, images=gone.images, objects=gone.objects)
        return _receipt(gone)

    def erase_all(self, user_id: str) -> ErasureReceipt:
        """Erases all of a user's ended jobs, pictures, shares, exports, albums, lists, templates and stars.

        A repeated call resumes an interrupted one. `services/store/kinds.py` says which kinds of records stay, and why.
        Raises Unavailable when something new was stored while it ran.
        """
        steps = [each.begin_erasing(user_id) for each in self._kept]
        gone = _run(steps)
        left = any(self._records.has(user_id, kind) for kind in sorted(ERASED))
        if _run_objects(steps) or left:
            raise Unavailable("Something new was stored while everything was being erased. Erase again.")
        event("user_erased", user=user_id, jobs=gone.jobs, images=gone.images, objects=gone.objects)
        return _receipt(gone)


def _run(steps: Sequence[ErasureSteps]) -> Erased:
    """Erases objects before records, so that it can resume after a crash."""
    gone = Erased(objects=_run_objects(steps))
    for each in steps:
        gone += each.records()
    return gone


def _run_objects(steps: Sequence[ErasureSteps]) -> int:
    return sum(each.objects() for each in steps)


def _receipt(gone: Erased) -> ErasureReceipt:
    return ErasureReceipt(
        jobs=gone.jobs,
        images=gone.images,
        objects=gone.objects,
        texts=gone.texts,
        shares=gone.shares,
        completed_at=now(),
    )
