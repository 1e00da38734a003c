"""What the search knows of a picture, and how it lies in a segment: one line of JSON a picture, compressed."""

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

# The studio writes no larger segment, unpacked: a million pictures with long prompts have a quarter of this many
# bytes.
MOST_UNPACKED_BYTES = 2 * 1024**3


class SegmentBroken(StudioError):
    """A segment is not what was written: the index is rebuilt from the records."""

    code = "segment_broken"


@dataclass(frozen=True, slots=True)
class Row:
    """One visible picture. `sk` is its place in the order of pictures, `made_ms` in milliseconds since 1970."""

    sk: str
    made_ms: int
    prompt: str
    model: str
    tags: tuple[str, ...]
    albums: tuple[str, ...]
    rating: int
    favorite: bool
    size_bytes: int


# What a segment says of pictures by their place; None: it is no longer there.
Changes = dict[str, Row | None]


def place_of(image_id: str) -> str | None:
    """A picture's place in the order; None for a malformed id."""
    parts = keys.split_image_id(image_id)
    return f"{parts[0]}#{parts[1]}" if parts else None


def row_of(image: Image) -> Row:
    """What the search knows of a visible picture."""
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
    """The bytes of a segment; the same changes give the same bytes."""
    lines = (json.dumps(_line(sk, changes[sk]), separators=(",", ":")) for sk in sorted(changes))
    return gzip.compress("\n".join(lines).encode(), compresslevel=5, mtime=0)


def unpack(data: bytes) -> Changes:
    """What a segment says. Raises SegmentBroken."""
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
