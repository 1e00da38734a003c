"""The form of a job in the table, and the records that refer to it."""

from __future__ import annotations

import json
from datetime import datetime

from services.aws.table import Item
from services.records import (
    Draft,
    Estimate,
    Hint,
    Job,
    JobFailure,
    JobSpec,
    JobStatus,
    Line,
    Provenance,
    Ticket,
    Timings,
    Withheld,
)
from services.store import keys

# In a draft job's item, followed by a picture's number: the job that draws it in full.
FINAL = "final_"


def micros(usd: float) -> int:
    """Converts to micro-dollars, the table's unit of money."""
    return round(usd * 1_000_000)


def job_to_item(job: Job) -> Item:
    """Returns the job's item, without its index attributes."""
    return {
        "PK": keys.user_pk(job.user_id),
        "SK": keys.job_sk(job.id),
        "status": job.status.value,
        "spec": job.spec.model_dump_json(),
        "estimate": job.estimate.model_dump_json(),
        "attempt": job.attempt,
        "created_at": job.created_at.isoformat(),
        "started_at": _iso(job.started_at),
        "completed_at": _iso(job.completed_at),
        "deadline_at": _iso(job.deadline_at),
        "invoked_at": _iso(job.invoked_at),
        "cost_micros": None if job.cost_usd is None else micros(job.cost_usd),
        "gpu_ms": None if job.gpu_s is None else round(job.gpu_s * 1000),
        "timings": job.timings.model_dump_json() if job.timings else None,
        "failure": job.failure.model_dump_json() if job.failure else None,
        "failure_uri": job.failure_uri,
        "image_ids": list(job.image_ids),
        "withheld": json.dumps([one.model_dump() for one in job.withheld]) if job.withheld else None,
        "hint": job.hint.model_dump_json() if job.hint else None,
        "batch_pictures": job.batch_pictures,
        "provenance": job.provenance.model_dump_json() if job.provenance else None,
        "run_by": _iso(job.run_by),
        "draft": job.draft.model_dump_json() if job.draft else None,
        "final_of": job.final_of,
        "endpoint": job.endpoint or None,
        "line": job.line.value if job.line else None,
        "ticket": job.ticket.model_dump_json() if job.ticket else None,
        "repeated": job.repeated or None,
    }


def job_from_item(item: Item) -> Job:
    """Returns the job in an item."""
    return Job(
        id=item["SK"].removeprefix(keys.JOB),
        user_id=item["PK"].removeprefix("USER#"),
        status=JobStatus(item["status"]),
        spec=JobSpec.model_validate_json(item["spec"]),
        estimate=Estimate.model_validate_json(item["estimate"]),
        attempt=item["attempt"],
        created_at=datetime.fromisoformat(item["created_at"]),
        started_at=_moment(item.get("started_at")),
        completed_at=_moment(item.get("completed_at")),
        deadline_at=_moment(item.get("deadline_at")),
        invoked_at=_moment(item.get("invoked_at")),
        cost_usd=item["cost_micros"] / 1_000_000 if "cost_micros" in item else None,
        gpu_s=item["gpu_ms"] / 1000 if "gpu_ms" in item else None,
        timings=Timings.model_validate_json(item["timings"]) if "timings" in item else None,
        failure=JobFailure(**json.loads(item["failure"])) if "failure" in item else None,
        failure_uri=item.get("failure_uri"),
        image_ids=tuple(item.get("image_ids", ())),
        withheld=tuple(Withheld(**one) for one in json.loads(item.get("withheld", "[]"))),
        hint=Hint.model_validate_json(item["hint"]) if "hint" in item else None,
        batch_pictures=item.get("batch_pictures"),
        provenance=Provenance.model_validate_json(item["provenance"]) if "provenance" in item else None,
        run_by=_moment(item.get("run_by")),
        draft=Draft.model_validate_json(item["draft"]) if "draft" in item else None,
        final_of=item.get("final_of"),
        endpoint=item.get("endpoint", ""),
        line=Line(item["line"]) if "line" in item else None,
        ticket=Ticket.model_validate_json(item["ticket"]) if "ticket" in item else None,
        repeated=item.get("repeated", False),
        finals={
            int(name.removeprefix(FINAL)): value
            for name, value in item.items()
            if name.removeprefix(FINAL).isdecimal()
        },
    )


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at else None


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
