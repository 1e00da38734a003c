"""The pictures that come with a job: sanitized on arrival, and kept until the job is erased."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from typing import NoReturn

from services.aws.objects import Objects
from services.errors import InvalidRequest
from services.formats.decoding import DECODING, pixels_of
from services.formats.image_header import MAX_FILE_BYTES
from services.formats.sanitize import as_png, fit, read_mask, read_picture
from services.jobs.sources import Sources
from services.records import Fit, Job, JobRequest, JobSpec, User
from services.sentences import sentence, subject
from services.store import keys

# The pipelines treat pixels that are at least half white as masked.
WHITE = 128
# Characters of base64; a multiple of four.
DECODED_AT_ONCE = 1024 * 1024


class Inputs:
    """The inputs bucket: `<user>/<job>/image` and `.../mask`."""

    def __init__(self, objects: Objects, sources: Sources) -> None:
        self._objects = objects
        self._sources = sources

    def pictures(self, user: User, request: JobRequest, spec: JobSpec) -> tuple[dict[str, bytes], JobSpec]:
        """Returns the request's pictures as the model sees them, by payload name, and `spec` with their hashes.

        They are PNGs of the job's size without metadata. Reads a stored source with two AWS calls, one more for a mask.
        Raises InvalidRequest naming the field, NotFound for a source of another user, and Unavailable.
        """
        size = (spec.width, spec.height)
        if request.source is not None:
            files = self._sources.read(user, request.source, size)
        else:
            files = prepared(user, request, size)
        check_mask(files)
        return files, with_hashes(spec, files)

    def put(self, user_id: str, job_id: str, pictures: Mapping[str, bytes]) -> None:
        """Stores the pictures of a job; one AWS call each. Raises Unavailable."""
        for name, data in pictures.items():
            self._objects.put(keys.input_key(user_id, job_id, name), data, content_type="image/png")

    def of(self, job: Job) -> dict[str, bytes]:
        """Returns the job's pictures by payload name; one AWS call each. Raises NotFound."""
        wanted = (("image", job.spec.image_sha256), ("mask", job.spec.mask_sha256))
        return {
            name: self._objects.get(keys.input_key(job.user_id, job.id, name), max_bytes=MAX_FILE_BYTES)
            for name, there in wanted
            if there is not None
        }

    def discard(self, user_id: str, job_id: str, pictures: Mapping[str, bytes]) -> None:
        """Erases what `put` stored for a job that was not created; two AWS calls per picture."""
        for name in pictures:
            self._objects.erase(keys.input_key(user_id, job_id, name))


def decode(text: str, *, param: str) -> bytes:
    """Decodes the base64 file in `text`. Raises InvalidRequest."""
    try:
        if "=" in text[:-2]:
            raise ValueError
        # In parts, because each call holds all other threads.
        starts = range(0, len(text), DECODED_AT_ONCE)
        return b"".join(
            base64.b64decode(text[start : start + DECODED_AT_ONCE], validate=True) for start in starts
        )
    except (binascii.Error, ValueError):
        _refuse(
            param,
            sentence(
                "{what} must be base64 of a picture file, without line breaks and without `data:`.",
                what=subject(param),
            ),
        )


def prepared(user: User, request: JobRequest, size: tuple[int, int]) -> dict[str, bytes]:
    """Returns the request's files as PNGs of `size`, by name; empty if there are none.

    Both are stretched to the size, as `/v1` documents. Takes up to a second for large ones. Raises InvalidRequest, and
    Unavailable if too many pictures wait to be decoded.
    """
    sent = {"image": request.image, "mask": request.mask}
    files = {name: file for name, file in sent.items() if file is not None}
    if not files:
        return {}
    readers = {"image": read_picture, "mask": read_mask}
    with DECODING.turn(user.id, pixels_of(files)):
        return {
            name: as_png(fit(readers[name](file, param=name), size, Fit.STRETCH))
            for name, file in files.items()
        }


def with_hashes(spec: JobSpec, files: Mapping[str, bytes]) -> JobSpec:
    """Returns `spec` with the hashes of its pictures."""
    hashes = {f"{name}_sha256": hashlib.sha256(file).hexdigest() for name, file in files.items()}
    return spec.model_copy(update=hashes)


def check_mask(files: Mapping[str, bytes]) -> None:
    """Raises InvalidRequest if there is a mask and it has no area to draw."""
    if "mask" in files and not any(read_mask(files["mask"], param="mask").histogram()[WHITE:]):
        _refuse(
            "mask",
            sentence(
                "The mask has no white area, so nothing would change. Paint white where the picture should be redrawn."
            ),
        )


def _refuse(param: str, message: str) -> NoReturn:
    raise InvalidRequest(message, param=param)
