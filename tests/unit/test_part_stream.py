"""Tests of the stream that ZIPs are written to: ordered parts, overwritten headers, and bounded buffering."""

from __future__ import annotations

import io
import zipfile
from typing import IO, cast

import pytest

from services.formats.multipart_writer import PartStream


def zipped(entries: list[tuple[str, bytes]], part_bytes: int) -> tuple[list[bytes], int]:
    """Return the parts of a ZIP of these entries, and the most bytes that the stream buffered."""
    parts: list[bytes] = []
    stream = PartStream(parts.append, part_bytes)
    most = 0
    with zipfile.ZipFile(cast(IO[bytes], stream), "w") as archive:
        for name, data in entries:
            archive.writestr(name, data)
            stream.hand_on()
            most = max(most, stream.size - sum(map(len, parts)))
    stream.finish()
    assert stream.size == sum(map(len, parts))
    return parts, most


def test_the_parts_form_a_valid_zip_and_less_than_one_part_is_buffered() -> None:
    entries = [(f"{n}.png", bytes([n]) * (700 + 13 * n)) for n in range(200)]
    parts, most = zipped(entries, 5000)
    assert {len(part) for part in parts[:-1]} == {5000} and most < 5000
    with zipfile.ZipFile(io.BytesIO(b"".join(parts))) as archive:
        assert archive.testzip() is None
        assert [(info.filename, archive.read(info)) for info in archive.infolist()] == entries
        # Sizes precede each file, so that programs that read sequentially can read it too.
        assert all(not info.flag_bits & 0x08 for info in archive.infolist())


def test_an_archive_beyond_the_limits_of_classic_zip_is_readable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 3000)
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 9)
    parts, _ = zipped([(f"{n}.png", bytes(1000)) for n in range(30)], 4000)
    whole = b"".join(parts)
    assert b"PK\x06\x06" in whole, "the ZIP64 end of the directory"
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        assert archive.testzip() is None and len(archive.namelist()) == 30


def test_seeking_outside_the_buffered_bytes_is_refused() -> None:
    stream = PartStream(lambda _: None, 10)
    stream.write(bytes(25))
    stream.hand_on()
    assert stream.seek(20) == 20 and stream.seek(-2, io.SEEK_END) == 23
    with pytest.raises(OSError):
        stream.seek(19)
    with pytest.raises(OSError):
        stream.seek(26)
