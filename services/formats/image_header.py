"""Reads the kind and size of a PNG, JPEG or WebP from its header, before any decoder sees the file.

Refuses files designed to waste time or memory (thousands of parts, hundreds of scans, billions of pixels).
"""

from __future__ import annotations

import re
import struct
from typing import Literal, NamedTuple, NoReturn

from services.errors import InvalidRequest
from services.sentences import sentence, subject

MAX_FILE_BYTES = 16 * 1024 * 1024
MAX_SIDE_PX = 8192
# The largest common phone picture is 5712 x 4284.
MAX_PIXELS = 25_000_000
# 16 MiB in the smallest chunks that picture programs write; a decoder needs 50 ms for that many empty chunks.
MAX_PARTS = 20_000
# Each scan of a progressive JPEG covers all its pixels. Ten scans are usual, and a preview has its own.
MAX_SCANNED_PIXELS = 400_000_000

PNG = b"\x89PNG\r\n\x1a\n"
_FILL = re.compile(b"\xff+")
_START_OF_SCAN = 0xDA
# Frame headers (ITU T.81, table B.1) without DHT, JPG and DAC, which lie in the same range.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_VP8_START, _VP8L_SIGNATURE = b"\x9d\x01\x2a", 0x2F

Kind = Literal["PNG", "JPEG", "WEBP"]


class Header(NamedTuple):
    """The kind of a file, determined by its first bytes, and its size in pixels."""

    kind: Kind
    width: int
    height: int


def read_header(file: bytes, *, param: str) -> Header:
    """Return the header of a picture file. Its first bytes determine its kind, never its name.

    Takes milliseconds for any file. Raises InvalidRequest naming `param` for a file of another kind, with a truncated
    header, over MAX_FILE_BYTES, MAX_SIDE_PX or MAX_PIXELS, or with more parts than a decoder should process.
    """
    if len(file) > MAX_FILE_BYTES:
        _refuse(
            param,
            sentence(
                "{what} has {size:.0f} MiB; at most {most} MiB are possible. Send a smaller file.",
                what=subject(param),
                size=len(file) / 1024 / 1024,
                most=MAX_FILE_BYTES // 1024 // 1024,
            ),
        )
    if file.startswith(PNG):
        header = _png(file, param)
    elif file.startswith(b"\xff\xd8\xff"):
        header = _jpeg(file, param)
    elif file[:4] == b"RIFF" and file[8:12] == b"WEBP":
        header = _webp(file, param)
    else:
        _refuse(
            param,
            sentence(
                "{what} must be a PNG, JPEG or WebP picture; this file is none, whatever its name.",
                what=subject(param),
            ),
        )
    if not header.width or not header.height:
        _refuse_broken(param)
    if max(header.width, header.height) > MAX_SIDE_PX or header.width * header.height > MAX_PIXELS:
        _refuse(
            param,
            sentence(
                "{what} is {width} x {height} pixels; at most {longest} a side and {most} megapixels in all "
                "are possible. Send a smaller one.",
                what=subject(param),
                width=header.width,
                height=header.height,
                longest=MAX_SIDE_PX,
                most=MAX_PIXELS // 1_000_000,
            ),
        )
    return header


def _png(file: bytes, param: str) -> Header:
    """PNG 1.2, sections 3.2 and 4.1.1: chunks of length, type, data and checksum, the header first."""
    if file[12:16] != b"IHDR" or len(file) < 33:
        _refuse_broken(param)
    width, height = struct.unpack_from(">II", file, 16)
    at = len(PNG)
    for _ in range(MAX_PARTS):
        if at + 12 > len(file):
            _refuse_cut(param)
        length, kind = struct.unpack_from(">I4s", file, at)
        at += 12 + length
        if kind == b"IEND":
            return Header("PNG", width, height)
    _refuse_parts(param)


def _jpeg(file: bytes, param: str) -> Header:
    """ITU T.81, B.1.1: segments of marker and length; any number of fill bytes may precede a marker."""
    at, size = 2, (0, 0)
    for _ in range(MAX_PARTS):
        fill = _FILL.match(file, at)
        at = fill.end() - 1 if fill else len(file)
        if at + 4 > len(file):
            _refuse_cut(param)
        marker, length = struct.unpack_from(">xBH", file, at)
        if marker in _FRAMES and length >= 8 and at + 9 <= len(file):
            height, width = struct.unpack_from(">HH", file, at + 5)
            size = (width, height)
        if marker == _START_OF_SCAN:
            # Within scan data this byte never follows 0xFF, so each pair starts a scan, perhaps of a preview.
            if file.count(b"\xff\xda", at) * size[0] * size[1] > MAX_SCANNED_PIXELS:
                _refuse(
                    param,
                    sentence(
                        "{what} has too many progressive scans. Re-save it in another program.",
                        what=subject(param),
                    ),
                )
            return Header("JPEG", *size)
        if length < 2:
            _refuse_broken(param)
        at += 2 + length
    _refuse_parts(param)


def _webp(file: bytes, param: str) -> Header:
    """WebP container specification: RIFF chunks; the size is in `VP8X` or in the only chunk with pixels."""
    at, size = 12, (0, 0)
    for _ in range(MAX_PARTS):
        if at + 8 > len(file):
            return Header("WEBP", *size)
        kind, length = struct.unpack_from("<4sI", file, at)
        body = file[at + 8 : at + 18]
        if size == (0, 0) and len(body) == 10:
            size = _canvas(kind, body)
        at += 8 + length + length % 2
    _refuse_parts(param)


def _canvas(kind: bytes, body: bytes) -> tuple[int, int]:
    if kind == b"VP8X":
        return int.from_bytes(body[4:7], "little") + 1, int.from_bytes(body[7:10], "little") + 1
    if kind == b"VP8 " and body[3:6] == _VP8_START:
        width, height = struct.unpack_from("<HH", body, 6)
        return width & 0x3FFF, height & 0x3FFF
    if kind == b"VP8L" and body[0] == _VP8L_SIGNATURE:
        bits = int.from_bytes(body[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return 0, 0


def _refuse_cut(param: str) -> NoReturn:
    _refuse(
        param,
        sentence("{what} cannot be read to its end: the file is cut off or broken.", what=subject(param)),
    )


def _refuse_broken(param: str) -> NoReturn:
    _refuse(param, sentence("{what} cannot be read: the file is broken at its start.", what=subject(param)))


def _refuse_parts(param: str) -> NoReturn:
    _refuse(
        param,
        sentence(
            "{what} has more than {most} parts. Re-save it in another program.",
            what=subject(param),
            most=MAX_PARTS,
        ),
    )


def _refuse(param: str, message: str) -> NoReturn:
    raise InvalidRequest(message, param=param)
