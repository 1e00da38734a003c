"""Reads the EXIF texts in which picture programs describe how a picture was made.

EXIF is a TIFF file without pixels (EXIF 2.32, section 4.5): a byte order, then tables of 12-byte entries. Only the
first table and the camera settings table are read, and only their text entries. The location table (GPS) is never
opened.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from services.formats.a1111 import FIRST_FIELD
from services.formats.png_metadata import MAX_TEXT_BYTES, decoded

PREFIX = b"Exif\0\0"
BYTE_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
USER_COMMENT = 0x9286
_EXIF_TABLE = 0x8769
_LONG, _IFD = 4, 13
# BYTE, ASCII, UNDEFINED, and UTF-8 (EXIF 3.0). Pillow writes bytes as BYTE into whatever tag they are for.
_TEXTS = frozenset({1, 2, 7, 129})
# Windows' own text tags: title, comment, author, keywords, subject.
_WINDOWS = range(0x9C9B, 0x9CA0)
# A camera's table has about 60 entries.
_MAX_ENTRIES = 500
_UNICODE, _JIS, _PLAIN = b"UNICODE\0", b"JIS\0\0\0\0\0", (b"ASCII\0\0\0", b"\0" * 8)


class ExifTexts(NamedTuple):
    """The texts of the first table by tag, and the comments of both tables.

    Texts of more than MAX_TEXT_BYTES are in neither; of such comments, `cut` has the beginnings.
    """

    by_tag: dict[int, str]
    comments: tuple[str, ...]
    cut: tuple[str, ...]
    skipped: bool


NO_EXIF = ExifTexts({}, (), (), skipped=False)


class _Entry(NamedTuple):
    tag: int
    kind: int
    value: bytes
    whole: bool


def read_exif(block: bytes) -> ExifTexts:
    """Return the texts of an EXIF block, with or without its prefix; skips broken or out-of-range entries."""
    data = block.removeprefix(PREFIX)
    order = BYTE_ORDERS.get(data[:4])
    if order is None or len(data) < 8:
        return NO_EXIF
    (first,) = struct.unpack_from(f"{order}I", data, 4)
    table = list(_entries(data, order, first))
    settings = next((entry for entry in table if entry.tag == _EXIF_TABLE and len(entry.value) == 4), None)
    inner = list(_entries(data, order, struct.unpack(f"{order}I", settings.value)[0])) if settings else []
    comments = [
        (text, entry.whole)
        for entry in (*table, *inner)
        if entry.tag == USER_COMMENT and (text := _comment(entry.value, order))
    ]
    return ExifTexts(
        {e.tag: _text(e) for e in table if e.kind in _TEXTS and e.tag != USER_COMMENT and e.whole},
        tuple(text for text, whole in comments if whole),
        tuple(text for text, whole in comments if not whole),
        skipped=not all(entry.whole for entry in (*table, *inner)),
    )


def _entries(data: bytes, order: str, at: int) -> Iterator[_Entry]:
    """Yield the table's entries at `at` whose values are text, bytes or an offset and lie within the block.

    Stops when their total size exceeds the block: overlapping entries are an attempt to fill memory. Of a longer text
    than MAX_TEXT_BYTES, only the beginning is copied: the rest is a workflow, which is never read.
    """
    if at + 2 > len(data):
        return
    (count,) = struct.unpack_from(f"{order}H", data, at)
    total = 0
    for number in range(min(count, _MAX_ENTRIES)):
        start = at + 2 + 12 * number
        if start + 12 > len(data):
            return
        tag, kind, length = struct.unpack_from(f"{order}HHI", data, start)
        if kind not in _TEXTS and kind not in (_LONG, _IFD):
            continue
        size = length * (4 if kind in (_LONG, _IFD) else 1)
        where = start + 8 if size <= 4 else struct.unpack_from(f"{order}I", data, start + 8)[0]
        if where + size > len(data):
            continue
        total += size
        if total > len(data):
            return
        yield _Entry(tag, kind, data[where : where + min(size, MAX_TEXT_BYTES)], size <= MAX_TEXT_BYTES)


def _text(entry: _Entry) -> str:
    if entry.tag in _WINDOWS:
        even = len(entry.value) // 2 * 2
        return entry.value[:even].decode("utf-16-le", "replace").rstrip("\0")
    return decoded(entry.value.rstrip(b"\0"))


def _comment(value: bytes, order: str) -> str | None:
    """Return the text of a UserComment: eight bytes naming the encoding, then the text (EXIF 2.32, 4.6.5)."""
    code, body = value[:8], value[8:]
    if code == _UNICODE:
        return _utf16(body, order)
    if code in _PLAIN:
        return decoded(body.rstrip(b"\0")) or None
    if code == _JIS:
        return body.rstrip(b"\0").decode("iso2022_jp", "replace") or None
    # Some programs write the text without naming its encoding.
    return decoded(value.rstrip(b"\0")) or None


def _utf16(body: bytes, order: str) -> str | None:
    """Decode UTF-16 in either byte order: by its mark, else by recognized content, else by the most ASCII.

    The block's byte order is no guide: piexif writes big-endian text, ImageSharp little-endian, into any block. ASCII
    alone is not enough: some Chinese characters become Latin letters in the other order. Some programs write UTF-8.
    """
    if body[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return body.decode("utf-16", "replace").rstrip("\0") or None
    plain = body.rstrip(b"\0")
    if b"\0" not in plain and _likeness(text := decoded(plain))[0]:
        return text
    named, other = ("utf-16-le", "utf-16-be") if order == "<" else ("utf-16-be", "utf-16-le")
    candidates = [body.decode(codec, "replace").rstrip("\0") for codec in (named, other)]
    return max(candidates, key=_likeness) or None


def _likeness(text: str) -> tuple[bool, int]:
    known = FIRST_FIELD in text or text.lstrip().startswith("{")
    return known, sum(character.isascii() for character in text)
