"""The base of all records, immutable and strict, and a page of a list of them."""

from __future__ import annotations

from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict

T = TypeVar("T")


class Record(BaseModel):
    """Base of all records: immutable, rejects unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Page(BaseModel, Generic[T]):
    """A page of a newest-first list. `next` is the opaque cursor of the next page, None at the end."""

    model_config = ConfigDict(frozen=True)

    items: tuple[T, ...]
    next: str | None = None
