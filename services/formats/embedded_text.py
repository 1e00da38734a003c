"""Extracts the texts embedded in a PNG, JPEG or WebP by parsing its structure; never decodes pixels."""

from __future__ import annotations

import re
import struct
from typing import NamedTuple, NoReturn

from services.errors import InvalidRequest
from services.formats.exif import NO_EXIF, PREFIX, ExifTexts, read_exif
from services.formats.png_metadata import (
    MAX_TEXT_BYTES,
    SIGNATURE,
    TEXT_CHUNKS,
    Chunk,
    PngError,
    bounded_chunks,
    keyword_of,
    text_of,
)
from services.sentences import sentence

MAX_FILE_BYTES = 32 * 1024 * 1024
# ImageMagick keeps the EXIF block of a PNG as hexadecimal text under these keywords.
_RAW_EXIF = frozenset({"Raw profile type exif", "Raw profile type APP1"})
_RAW_PROFILE = re.compile(r"\s*\w+\s+\d+\s")
# JPEG (ITU T.81, table B.1): any number of fill bytes may precede a marker; pixels follow the start of a scan.
_FILL = re.compile(b"\xff+")
_START_OF_SCAN, _APP1 = 0xDA, 0xE1
# Only a file made to waste time has many thousands of parts.
_MAX_PARTS = 20_000


class PictureTexts(NamedTuple):
    """The wanted text chunks of a PNG by keyword, and the EXIF texts of a file of any kind.

    `left_out` is a sentence about a text that is broken or longer than MAX_TEXT_BYTES, None without one.
    """

    chunks: dict[str, str]
    exif: ExifTexts
    left_out: str | None = None


def read_texts(file: bytes, wanted: frozenset[str]) -> PictureTexts:
    """Return the texts of a picture file. Its first bytes determine its kind, never its name.

    Of a PNG's text chunks, only those with a keyword in `wanted` are unpacked: others, such as a workflow of some
    megabytes, cost nothing. Raises InvalidRequest when it is of another kind, broken, or larger than MAX_FILE_BYTES.
    Bytes after the last part of a JPEG or WebP are ignored; only zeros and white space may follow a PNG's IEND.
    """
    if not file:
        _refuse(sentence("This file is empty."))
    if len(file) > MAX_FILE_BYTES:
        _refuse(
            sentence(
                "This file has {size:.0f} MiB; at most {most} are read.",
                size=len(file) / 1024 / 1024,
                most=MAX_FILE_BYTES // 1024 // 1024,
            )
        )
    if file.startswith(SIGNATURE):
        return _of_png(file, wanted)
    if file.startswith(b"\xff\xd8\xff"):
        return _of_exif(_jpeg_exif(file))
    if file[:4] == b"RIFF" and file[8:12] == b"WEBP":
        return _of_exif(_webp_exif(file))
    _refuse(sentence("This is no PNG, JPEG or WebP picture, whatever its name says."))


def _of_png(file: bytes, wanted: frozenset[str]) -> PictureTexts:
    found: dict[str, str] = {}
    block, left_out = b"", None
    try:
        for chunk in bounded_chunks(file, padded=True):
            if chunk.kind == b"eXIf":
                block = block or chunk.data
            elif chunk.kind in TEXT_CHUNKS:
                keyword = keyword_of(chunk)
                if keyword in found or keyword not in wanted | _RAW_EXIF:
                    continue
                try:
                    found[keyword] = _text(chunk)
                except PngError as exc:
                    left_out = sentence("This PNG cannot be read: {why}.", why=str(exc))
    except PngError as exc:
        _refuse(sentence("This PNG cannot be read: {why}.", why=str(exc)))
    raw = next((found[keyword] for keyword in _RAW_EXIF if keyword in found), "")
    of_exif = _of_exif(block or _raw_exif(raw))
    return PictureTexts(found, of_exif.exif, left_out or of_exif.left_out)


def _text(chunk: Chunk) -> str:
    """Return the text of a chunk. Raises PngError, also for one that is too long."""
    text = text_of(chunk).text if len(chunk.data) <= MAX_TEXT_BYTES else None
    if text is None or len(text) > MAX_TEXT_BYTES:
        raise PngError(f"it holds more than {MAX_TEXT_BYTES} bytes of text")
    return text


def _raw_exif(profile: str) -> bytes:
    """Return the block in ImageMagick's form: a name, a length, and lines of hexadecimal digits."""
    head = _RAW_PROFILE.match(profile)
    try:
        return bytes.fromhex(profile[head.end() :]) if head else b""
    except ValueError:
        return b""


def _of_exif(block: bytes) -> PictureTexts:
    exif = read_exif(block) if block else NO_EXIF
    too_long = sentence("This picture holds more than {most} bytes of text.", most=MAX_TEXT_BYTES)
    return PictureTexts({}, exif, too_long if exif.skipped else None)


def _jpeg_exif(file: bytes) -> bytes:
    """Return the first EXIF segment of a JPEG, or empty bytes (ITU T.81, B.1.1; EXIF 2.32, 4.7.2)."""
    at = 2
    for _ in range(_MAX_PARTS):
        fill = _FILL.match(file, at)
        at = fill.end() - 1 if fill else len(file)
        if at + 4 > len(file):
            break
        marker, length = struct.unpack_from(">xBH", file, at)
        end = at + 2 + length
        if marker == _START_OF_SCAN:
            return b""
        if length < 2 or end > len(file):
            break
        if marker == _APP1 and file.startswith(PREFIX, at + 4):
            return file[at + 4 : end]
        at = end
    _refuse(
        sentence(
            "This JPEG cannot be read: it is cut off or damaged at byte {place}.", place=min(at, len(file))
        )
    )


def _webp_exif(file: bytes) -> bytes:
    """Return the EXIF chunk of a WebP, or empty bytes (WebP container specification, "RIFF File Format")."""
    (size,) = struct.unpack_from("<I", file, 4)
    end = 8 + size
    if end > len(file):
        _refuse(
            sentence(
                "This WebP cannot be read: it says {said} bytes, but ends at byte {place}.",
                said=end,
                place=len(file),
            )
        )
    at = 12
    for _ in range(_MAX_PARTS):
        if at + 8 > end:
            return b""
        kind, length = struct.unpack_from("<4sI", file, at)
        if at + 8 + length > end:
            _refuse(
                sentence(
                    "This WebP cannot be read: the part at byte {place} is longer than the file.", place=at
                )
            )
        if kind == b"EXIF":
            return file[at + 8 : at + 8 + length]
        at += 8 + length + length % 2
    _refuse(sentence("This WebP cannot be read: it has more than {most} parts.", most=_MAX_PARTS))


def _refuse(message: str) -> NoReturn:
    raise InvalidRequest(message, param="file")
