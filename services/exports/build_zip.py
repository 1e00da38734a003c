"""Builds the ordered ZIPs one at a time, in bounded memory, and survives the end of any process.

A worker holds an export by a token and a lease, which every progress report renews. After an interruption, another
worker starts the ZIP again once the lease has expired, and first drops the parts that S3 still has. Pictures are stored
uncompressed, because a PNG does not get smaller.
"""

from __future__ import annotations

import json
import logging
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import IO, Any, cast

from services.aws.objects import Objects
from services.clock import now
from services.errors import NotFound, StudioError
from services.exports.orders import Exports, Plan, zip_key
from services.formats import png_metadata
from services.formats.csv_cells import csv_file
from services.formats.multipart_writer import PartStream
from services.images.images import MAX_PICTURE_BYTES
from services.logs import event
from services.records import Image
from services.search.query import words_of
from services.store import keys
from services.store.exports import Export, ExportStore
from services.store.images import ImageStore, Place

LEASE = timedelta(seconds=60)
MAX_ATTEMPTS = 3
DUE_BATCH = 10
# 10,000 parts are the most that S3 takes: 160 GB, far more than an export may have.
PART_BYTES = 16 * 1024 * 1024
RECORDS_AT_ONCE = 100
TELL_EVERY_S = 1.0
LONGEST_NAME = 40
COLUMNS = (
    "file", "id", "created_at", "prompt", "negative_prompt", "model", "model_revision", "seed", "width", "height",
    "steps", "scheduler", "guidance", "strength", "favorite", "rating", "tags",
)  # fmt: skip


class _Taken(Exception):
    """The export is no longer this worker's: it was canceled or restarted by another worker."""


class _Stopped(Exception):
    """The worker is stopping: another one continues."""


class ExportBuilder:
    """Builds exports; any number of workers may run it."""

    def __init__(
        self,
        store: ExportStore,
        records: ImageStore,
        exports: Exports,
        library: Objects,
        pictures: Objects,
    ) -> None:
        self._store = store
        self._records = records
        self._exports = exports
        self._library = library
        self._pictures = pictures

    def build_due(self, stopped: Callable[[], bool] = lambda: False) -> int:
        """Makes the exports that are due; returns how many were finished. One AWS call when there are none.

        One that makes trouble is logged and tried again when its lease has ended, three times in all. `stopped` is
        asked between pictures: then what was begun is left to the next worker.
        """
        finished = 0
        for export in self._store.due(now(), limit=DUE_BATCH):
            if stopped():
                break
            finished += self._build_safely(export, stopped)
        return finished

    def _build_safely(self, export: Export, stopped: Callable[[], bool]) -> bool:
        token = keys.new_id()
        try:
            if not self._claim(export, token):
                return False
            self._build(export, token, stopped)
        except _Taken:
            self._library.abort_uploads(zip_key(export, token))
            return False
        except _Stopped:
            self._library.abort_uploads(zip_key(export, token))
            # Another worker continues immediately; this attempt does not count.
            self._store.give_back(export, token, now())
            return False
        except StudioError as exc:
            event("export_failed", level=logging.ERROR, exc=exc, user=export.user_id, export=export.id)
            return False
        return True

    def _claim(self, export: Export, token: str) -> bool:
        """Claims the export; returns False if another worker has it, it is gone, or it was tried too often."""
        at = now()
        attempt = self._store.claim(export, token, at=at, lease_until=at + LEASE)
        if attempt is None:
            return False
        if attempt <= MAX_ATTEMPTS:
            return True
        self._clean(export)
        self._store.fail(export, token)
        return False

    def _clean(self, export: Export) -> None:
        """Removes what earlier attempts left."""
        self._library.abort_uploads(zip_key(export))
        self._library.erase(zip_key(export))

    def _build(self, export: Export, token: str, stopped: Callable[[], bool]) -> None:
        key = zip_key(export, token)
        self._clean(export)
        try:
            plan = self._exports.plan(export)
        except NotFound:
            # The order was just canceled, or the plan has expired.
            self._store.fail(export, token)
            return
        upload = self._library.begin_upload(key, content_type="application/zip")
        parts: list[str] = []
        stream = PartStream(
            lambda part: parts.append(self._library.upload_part(key, upload, len(parts) + 1, part)),
            PART_BYTES,
        )
        told = _Told(lambda done: self._tell(export, token, done), stopped)
        with zipfile.ZipFile(cast(IO[bytes], stream), "w", zipfile.ZIP_STORED) as archive:
            missing = self._fill(archive, stream, export, plan, told)
        stream.finish()
        self._library.complete_upload(key, upload, parts)
        if not self._store.finish(export, token, size_bytes=stream.size, missing=missing):
            # Canceled or begun again during the last upload.
            self._library.erase(key)
            return
        event("export_ready", user=export.user_id, export=export.id, size_bytes=stream.size, missing=missing)

    def _fill(
        self, archive: zipfile.ZipFile, stream: PartStream, export: Export, plan: Plan, told: _Told
    ) -> int:
        """Writes all files into the archive; returns how many pictures no longer exist."""
        rows: list[dict[str, Any]] = []
        number = done = 0
        for image in self._images(export.user_id, plan.image_ids):
            done += 1
            told(done)
            png = self._read(image) if image else None
            if image is None or png is None:
                continue
            number += 1
            name = f"pictures/{_name(number, image if plan.settings else None)}"
            if plan.settings:
                rows.append(_row(name, image, png))
            else:
                png = png_metadata.strip(png)
            archive.writestr(_entry(name, image.created_at), png)
            stream.hand_on()
        for index, extra in enumerate(plan.extras):
            data = self._exports.extra_file(export, index)
            archive.writestr(_entry(extra, export.created_at, deflate=True), data)
            stream.hand_on()
        if plan.settings and rows:
            table = _as_csv(rows, decimal_comma=plan.decimal_comma)
            for name, text in (("manifest.json", _as_json(rows)), ("manifest.csv", table)):
                archive.writestr(_entry(name, export.created_at, deflate=True), text)
                stream.hand_on()
        return len(plan.image_ids) - number

    def _images(self, user_id: str, image_ids: Sequence[str]) -> Iterator[Image | None]:
        """Yields the records of the pictures in order, None for an invisible one; one AWS call for each hundred."""
        for start in range(0, len(image_ids), RECORDS_AT_ONCE):
            places = [
                Place.find(user_id, image_id) for image_id in image_ids[start : start + RECORDS_AT_ONCE]
            ]
            found = self._records.visible(place for place in places if place)
            for place in places:
                yield found.get(place) if place else None

    def _read(self, image: Image) -> bytes | None:
        try:
            return self._pictures.get(image.key, max_bytes=MAX_PICTURE_BYTES)
        except NotFound:
            return None

    def _tell(self, export: Export, token: str, done: int) -> None:
        """Records the progress and renews the lease. Raises _Taken if the export is no longer this worker's."""
        if not self._store.renew(export, token, done=done, lease_until=now() + LEASE):
            raise _Taken


class _Told:
    """Passes progress on at most once a second."""

    def __init__(self, tell: Callable[[int], None], stopped: Callable[[], bool]) -> None:
        self._tell = tell
        self._stopped = stopped
        self._last = time.monotonic()

    def __call__(self, done: int) -> None:
        if self._stopped():
            raise _Stopped
        if time.monotonic() - self._last >= TELL_EVERY_S:
            self._tell(done)
            self._last = time.monotonic()


def _entry(name: str, at: datetime, *, deflate: bool = False) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, date_time=at.timetuple()[:6])
    entry.compress_type = zipfile.ZIP_DEFLATED if deflate else zipfile.ZIP_STORED
    entry.external_attr = 0o644 << 16
    return entry


def _name(number: int, image: Image | None) -> str:
    """Returns a file name for any system: a unique number, and words of the prompt unless it stays private."""
    if image is None:
        return f"{number:05d}.png"
    words = "-".join(words_of(image.prompt))[:LONGEST_NAME].strip("-")
    return f"{number:05d}-{words}-{image.seed}.png" if words else f"{number:05d}-{image.seed}.png"


def _row(name: str, image: Image, png: bytes) -> dict[str, Any]:
    """Returns the picture's entry in the manifest: its record and the settings in its file."""
    try:
        inside = png_metadata.read(png).parameters
    except png_metadata.PngError:
        inside = None
    said = inside.model_dump(mode="json") if inside else {}
    own = {
        "file": name,
        "id": image.id,
        "created_at": image.created_at.isoformat(),
        "prompt": image.prompt,
        "model": image.model,
        "seed": image.seed,
        "width": image.width,
        "height": image.height,
        "favorite": image.favorite,
        "rating": image.rating,
        "tags": list(image.tags),
    }
    return {column: own.get(column, said.get(column)) for column in COLUMNS}


def _as_json(rows: Sequence[dict[str, Any]]) -> bytes:
    return json.dumps(rows, ensure_ascii=False, indent=1).encode()


def _as_csv(rows: Sequence[dict[str, Any]], *, decimal_comma: bool) -> bytes:
    cells = (
        [", ".join(value) if isinstance(value, list) else value for value in row.values()] for row in rows
    )
    return csv_file(COLUMNS, cells, decimal_comma=decimal_comma)
