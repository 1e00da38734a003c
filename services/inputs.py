"""What goes into a job besides words: pictures, checked when they arrive and kept until the job is erased."""

from __future__ import annotations

import base64
import binascii
import io
import struct
import zlib
from typing import NoReturn

from PIL import Image as Pillow

from services import keys
from services.aws.objects import Objects
from services.errors import InvalidRequest
from services.records import Job, JobRequest

# The container's own limits (inference/pictures.py): what passes here is not refused there.
MAX_FILE_BYTES = 8 * 1024 * 1024
MAX_SIDE_PX = 4096
# Both files in base64 must fit into the 16 MiB that the container reads.
MAX_TOGETHER_BYTES = 11 * 1024 * 1024
# Pillow opens some 40 formats by default; some of them have run code or filled memory.
FORMATS = ("PNG", "JPEG", "WEBP")
# What Pillow's readers raise for files that are broken in the middle.
BROKEN = (OSError, EOFError, LookupError, SyntaxError, TypeError, ValueError, struct.error, zlib.error)


class Inputs:
    """The inputs bucket: `<user>/<job>/image` and `.../mask`, and payloads too large to go inline."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def put(self, user_id: str, job_id: str, request: JobRequest) -> None:
        """Stores what came with the request; one AWS call a picture, none without. Raises Unavailable."""
        for name, data in (("image", request.image), ("mask", request.mask)):
            if data is not None:
                key = keys.input_key(user_id, job_id, name)
                self._objects.put(key, data, content_type="application/octet-stream")

    def of(self, job: Job) -> dict[str, bytes]:
        """The job's pictures by the payload's names for them; one AWS call each. Raises NotFound."""
        wanted = (("image", job.spec.image_sha256), ("mask", job.spec.mask_sha256))
        return {
            name: self._objects.get(keys.input_key(job.user_id, job.id, name), max_bytes=MAX_FILE_BYTES)
            for name, there in wanted
            if there is not None
        }

    def put_payload(self, job: Job, body: bytes) -> str:
        """Stores the payload of the job's attempt, too large to go inline; returns its S3 URI. One AWS call."""
        key = f"{keys.job_prefix(job.user_id, job.id)}/{keys.attempt_file(job.attempt)}"
        self._objects.put(key, body, content_type="application/json")
        return f"s3://{self._objects.bucket}/{key}"

    def discard(self, user_id: str, job_id: str, request: JobRequest) -> None:
        """Erases what `put` stored for a job that did not come to be; two AWS calls a picture."""
        for name, data in (("image", request.image), ("mask", request.mask)):
            if data is not None:
                self._objects.erase(keys.input_key(user_id, job_id, name))


def decode(text: str, *, param: str) -> bytes:
    """The file in base64 `text`. Raises InvalidRequest."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        _refuse(
            param, f"The {param} must be base64 of a picture file, without line breaks and without `data:`."
        )


def check(request: JobRequest) -> None:
    """Raises InvalidRequest, naming the field, when a picture of the request is not one the model can take.

    Decodes both: up to a second for large ones.
    """
    for param, data in (("image", request.image), ("mask", request.mask)):
        if data is not None:
            _check_file(param, data)
    if len(request.image or b"") + len(request.mask or b"") > MAX_TOGETHER_BYTES:
        _refuse(
            "mask",
            f"The image and the mask are over {MAX_TOGETHER_BYTES // 1024 // 1024} MiB together; send smaller files.",
        )


def _check_file(param: str, data: bytes) -> None:
    if len(data) > MAX_FILE_BYTES:
        _refuse(
            param,
            f"The {param} has {len(data)} bytes; at most {MAX_FILE_BYTES // 1024 // 1024} MiB are possible.",
        )
    try:
        picture = Pillow.open(io.BytesIO(data), formats=FORMATS)
    except (Pillow.DecompressionBombError, Pillow.DecompressionBombWarning):
        _refuse(param, f"The {param} must be at most {MAX_SIDE_PX} pixels a side; send a smaller one.")
    except BROKEN:
        _refuse(
            param,
            f"The {param} must be a PNG, JPEG or WebP picture; this file is none of them, or broken at its start.",
        )
    with picture:
        # Known from the header: nothing was decoded yet.
        if max(picture.size) > MAX_SIDE_PX:
            _refuse(
                param,
                f"The {param} is {picture.width} x {picture.height} pixels; at most {MAX_SIDE_PX} a side "
                "are possible.",
            )
        if getattr(picture, "n_frames", 1) > 1:
            _refuse(param, f"The {param} is animated; send a picture of one frame.")
        try:
            picture.load()
            if param == "mask" and not _has_white(picture):
                _refuse(
                    param,
                    "The mask is nowhere white: nothing would be drawn. White is drawn anew, black is kept.",
                )
        except BROKEN:
            _refuse(param, f"The {param} cannot be read to its end: the file is cut off or broken.")


def _has_white(mask: Pillow.Image) -> bool:
    if mask.has_transparency_data:
        # What is transparent becomes white.
        return True
    brightest = mask.convert("RGB").convert("L").getextrema()[1]
    return isinstance(brightest, int | float) and brightest >= 128


def _refuse(param: str, message: str) -> NoReturn:
    raise InvalidRequest(message, param=param)
