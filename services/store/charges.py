"""A job's charge: a record that makes reserving, settling, and refunding happen once each."""

from __future__ import annotations

from datetime import datetime

from services.aws.table import Put, Update
from services.store import keys
from services.store.writes import Write


def reserved(user_id: str, job_id: str, micros: int, at: datetime) -> Write:
    """Returns the write that records a reservation in micro-dollars; refused if the job has a charge."""
    pk, sk = _key(user_id, job_id)
    return Put(
        item={
            "PK": pk,
            "SK": sk,
            "state": "reserved",
            "reserved_micros": micros,
            "created_at": at.isoformat(),
        },
        label="charge",
        condition="attribute_not_exists(PK)",
    )


def settled(user_id: str, job_id: str, micros: int) -> Write:
    """Returns the write that replaces the reservation by the job's cost; refused for an ended charge."""
    return _end(user_id, job_id, "settled", micros)


def refunded(user_id: str, job_id: str) -> Write:
    """Returns the write that ends the reservation without a cost; refused for an ended charge."""
    return _end(user_id, job_id, "refunded", 0)


def _end(user_id: str, job_id: str, state: str, micros: int) -> Write:
    return Update(
        key=_key(user_id, job_id),
        label="charge",
        assign={"state": state, "cost_micros": micros},
        condition="#state = :reserved",
        values={":reserved": "reserved"},
    )


def _key(user_id: str, job_id: str) -> tuple[str, str]:
    return keys.user_pk(user_id), f"CHARGE#{job_id}"
