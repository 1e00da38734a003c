"""A picture's row in the search index, and its form in a segment: one line of JSON per picture, compressed."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from services.errors import StudioError
from services.records import Image
from services.store import keys

# The studio writes no larger segment, uncompressed: a million pictures with long prompts take a quarter of this.
MOST_UNPACKED_BYTES = 2 * 1024**3


class SegmentBroken(StudioError):
    """A segment has invalid content; the index is rebuilt from the records."""

    code = "segment_broken"


@dataclass(frozen=True, slots=True)
class Row:
    """One visible picture. `sk` is its sort key, `made_ms` in milliseconds since 1970."""

    sk: str
    made_ms: int
    prompt: str
    model: str
    tags: tuple[str, ...]
    albums: tuple[str, ...]
    rating: int
    favorite: bool
    size_bytes: int


# A segment's rows by sort key; None for a picture that no longer exists.
Changes = dict[str, Row | None]


def place_of(image_id: str) -> str | None:
    """Return a picture's sort key, or None for a malformed id."""
    parts = keys.split_image_id(image_id)
    return f"{parts[0]}#{parts[1]}" if parts else None


def row_of(image: Image) -> Row:
    """Return the index row of a visible picture."""
    return Row(
        sk=f"{image.job_id}#{image.n}",
        made_ms=round(image.created_at.timestamp() * 1000),
        prompt=image.prompt,
        model=image.model,
        tags=image.tags,
        albums=image.albums,
        rating=image.rating,
        favorite=image.favorite,
        size_bytes=image.size_bytes,
    )


def pack(changes: Changes) -> bytes:
    """Return the bytes of a segment; deterministic."""
    lines = (json.dumps(_line(sk, changes[sk]), separators=(",", ":")) for sk in sorted(changes))
    return gzip.compress("\n".join(lines).encode(), compresslevel=5, mtime=0)


def unpack(data: bytes) -> Changes:
    """Return a segment's content. Raises SegmentBroken."""
    try:
        unpacker = zlib.decompressobj(wbits=31)
        text = unpacker.decompress(data, MOST_UNPACKED_BYTES)
        if not unpacker.eof:
            raise SegmentBroken("The segment is cut off or too large.")
        return dict(_read(text.splitlines()))
    except (zlib.error, ValueError, TypeError, KeyError) as exc:
        raise SegmentBroken(f"The segment cannot be read ({type(exc).__name__}).") from exc


def _line(sk: str, row: Row | None) -> list[Any]:
    if row is None:
        return [sk]
    return [
        sk,
        row.made_ms,
        row.prompt,
        row.model,
        row.tags,
        row.albums,
        row.rating,
        int(row.favorite),
        row.size_bytes,
    ]


def _read(lines: Iterable[bytes]) -> Iterator[tuple[str, Row | None]]:
    for line in lines:
        sk, *rest = json.loads(line)
        if not rest:
            yield sk, None
            continue
        made_ms, prompt, model, tags, albums, rating, favorite, size_bytes = rest
        yield (
            sk,
            Row(sk, made_ms, prompt, model, tuple(tags), tuple(albums), rating, favorite == 1, size_bytes),
        )
