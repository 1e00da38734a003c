"""Users, their usage, and receipts of their erasures."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from services.records.base import Record


class Role(StrEnum):
    MAKER = "maker"
    ADMIN = "admin"


class User(Record):
    """The user making a request. `id` is 32 hex digits."""

    id: str
    email: str
    role: Role = Role.MAKER
    name: str = ""


class Usage(Record):
    """A user's usage counted against the limits: images per UTC day, dollars per UTC month, including reserved ones."""

    images_today: int
    daily_images: int
    spent_month_usd: float
    monthly_usd: float
    open_jobs: int
    max_open_jobs: int


class ErasureReceipt(Record):
    """What was erased, verified by listing again. `texts` are lists, templates and starred prompts; `shares` are
    links that showed a picture to anyone."""

    jobs: int
    images: int
    objects: int
    texts: int = 0
    shares: int = 0
    completed_at: datetime
