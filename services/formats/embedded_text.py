"""Extracts the texts embedded in a PNG, JPEG or WebP by parsing its structure; never decodes pixels."""

from __future__ import annotations

import re
import struct
from typing import NamedTuple, NoReturn

from services.errors import InvalidRequest
from services.formats.exif import PREFIX, ExifTexts, read_exif
from services.formats.png_metadata import MAX_TEXT_BYTES, SIGNATURE, PngError, chunks, texts
from services.sentences import sentence

MAX_FILE_BYTES = 32 * 1024 * 1024
_NO_EXIF = ExifTexts({}, None)
# JPEG (ITU T.81, table B.1): any number of fill bytes may precede a marker; pixels follow the start of a scan.
_FILL = re.compile(b"\xff+")
_START_OF_SCAN, _APP1 = 0xDA, 0xE1
# Only a file made to waste time has many thousands of parts.
_MAX_PARTS = 20_000


class PictureTexts(NamedTuple):
    """The text chunks of a PNG by keyword, and the EXIF texts of a file of any kind."""

    chunks: dict[str, str]
    exif: ExifTexts


def read_texts(file: bytes) -> PictureTexts:
    """Return the texts of a picture file. Its first bytes determine its kind, never its name.

    Raises InvalidRequest when it is of another kind, broken, larger than MAX_FILE_BYTES, or contains more than
    MAX_TEXT_BYTES of text. Bytes after the last part of a JPEG or WebP are ignored; a PNG must end with IEND.
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
        return _of_png(file)
    if file.startswith(b"\xff\xd8\xff"):
        return PictureTexts({}, _exif(_jpeg_exif(file)))
    if file[:4] == b"RIFF" and file[8:12] == b"WEBP":
        return PictureTexts({}, _exif(_webp_exif(file)))
    _refuse(sentence("This is no PNG, JPEG or WebP picture, whatever its name says."))


def _of_png(file: bytes) -> PictureTexts:
    try:
        found = texts(file)
        # Read only if the text chunks have nothing: some programs write EXIF into PNG as well.
        block = b"" if found else next((part.data for part in chunks(file) if part.kind == b"eXIf"), b"")
    except PngError as exc:
        _refuse(sentence("This PNG cannot be read: {why}.", why=str(exc)))
    return PictureTexts(found, _exif(block))


def _exif(block: bytes) -> ExifTexts:
    if len(block) > MAX_TEXT_BYTES:
        _refuse(sentence("This picture holds more than {most} bytes of text.", most=MAX_TEXT_BYTES))
    return read_exif(block) if block else _NO_EXIF


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
