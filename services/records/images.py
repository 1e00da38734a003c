"""Stored pictures and albums."""

from __future__ import annotations

from datetime import datetime

from services.records.base import Record


class Image(Record):
    """One stored picture. `id` is `<job>-<n>`; `sha256` is of the stored PNG's bytes.

    `rating` is 1 to 5, 0 for none; `tags` are sorted; `albums` are ids; `color` is the dominant color (`#rrggbb`),
    None if not computed; `trashed_at` is None outside the trash.
    """

    id: str
    user_id: str
    job_id: str
    n: int
    key: str
    thumbnail_key: str | None
    width: int
    height: int
    size_bytes: int
    sha256: str
    seed: int
    model: str
    prompt: str
    favorite: bool = False
    rating: int = 0
    tags: tuple[str, ...] = ()
    albums: tuple[str, ...] = ()
    color: str | None = None
    created_at: datetime
    trashed_at: datetime | None = None


class Album(Record):
    """A named group of pictures. `cover` is the id of the picture chosen to represent it."""

    id: str
    name: str
    cover: str | None = None
    created_at: datetime
