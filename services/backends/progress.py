"""A running job's progress object, written by the container (docs/contracts.md)."""

from __future__ import annotations

import logging
from datetime import datetime

from pydantic import BaseModel, ValidationError

from services.aws.objects import Objects
from services.backends.base import Progress
from services.errors import BadOutput, NotFound
from services.logs import event
from services.records import Job
from services.store import keys

MAX_PROGRESS_BYTES = 4096


class _ProgressObject(BaseModel):
    """The object's fields."""

    step: int
    steps: int
    started_at: datetime
    updated_at: datetime


def read_progress(outputs: Objects, job: Job) -> Progress | None:
    """Returns the progress of the job's current attempt; None if there is none or it is unreadable. One AWS call."""
    key = keys.progress_key(job.user_id, job.id, job.attempt)
    try:
        seen = _ProgressObject.model_validate_json(outputs.get(key, max_bytes=MAX_PROGRESS_BYTES))
    except NotFound:
        return None
    except (BadOutput, ValidationError) as exc:
        event("progress_unreadable", level=logging.WARNING, exc=exc, job=job.id)
        return None
    preview = f"{keys.job_prefix(job.user_id, job.id)}/{job.attempt}.preview.webp"
    return Progress(
        step=seen.step,
        steps=seen.steps,
        started_at=seen.started_at,
        updated_at=seen.updated_at,
        preview_url=outputs.link(preview) if seen.step else None,
    )
