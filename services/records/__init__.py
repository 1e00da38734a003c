"""The immutable types shared by all layers: users, requests, jobs, pictures, endpoints, and pages of them."""

from __future__ import annotations

from services.records.base import Page, Record
from services.records.endpoints import EndpointInfo, EndpointState
from services.records.images import Album, Image
from services.records.jobs import (
    EXACT_PLACES,
    TERMINAL,
    Estimate,
    Hint,
    Job,
    JobFailure,
    JobStatus,
    Line,
    LiveJob,
    Provenance,
    Ticket,
    Timings,
    Withheld,
)
from services.records.people import ErasureReceipt, Role, Usage, User
from services.records.requests import Draft, Fit, JobRequest, JobSpec, Source, Task, When, steps_over

__all__ = [
    "EXACT_PLACES",
    "TERMINAL",
    "Album",
    "Draft",
    "EndpointInfo",
    "EndpointState",
    "ErasureReceipt",
    "Estimate",
    "Fit",
    "Hint",
    "Image",
    "Job",
    "JobFailure",
    "JobRequest",
    "JobSpec",
    "JobStatus",
    "Line",
    "LiveJob",
    "Page",
    "Provenance",
    "Record",
    "Role",
    "Source",
    "Task",
    "Ticket",
    "Timings",
    "Usage",
    "User",
    "When",
    "Withheld",
    "steps_over",
]
