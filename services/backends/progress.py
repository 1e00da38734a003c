"""What the container reports about a running job: its progress object (docs/contracts.md)."""

from __future__ import annotations

import logging
from datetime import datetime

from pydantic import BaseModel, ValidationError

from services.aws.objects import Objects
from services.errors import BadOutput, NotFound
from services.logs import event
from services.records import Job
from services.store import keys

MAX_PROGRESS_BYTES = 4096


class Progress(BaseModel):
    """Step `step` of `steps`; `started_at` is when the model began, `updated_at` when this was written."""

    step: int
    steps: int
    started_at: datetime
    updated_at: datetime


def read_progress(outputs: Objects, job: Job) -> Progress | None:
    """The progress of the job's present attempt; None while there is none, or none that can be read. One AWS call."""
    key = keys.progress_key(job.user_id, job.id, job.attempt)
    try:
        return Progress.model_validate_json(outputs.get(key, max_bytes=MAX_PROGRESS_BYTES))
    except NotFound:
        return None
    except (BadOutput, ValidationError) as exc:
        event("progress_unreadable", level=logging.WARNING, exc=exc, job=job.id)
        return None
