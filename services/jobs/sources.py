"""Stored pictures to draw over: uploads, gallery pictures, and inputs of earlier jobs.

Everything is stored below its user's own prefix or partition, so another user's id looks like one that does not exist.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict

from PIL import Image as Pillow

from services.aws.objects import Objects
from services.errors import InvalidRequest, NotFound
from services.formats.decoding import DECODING, pixels_of
from services.formats.sanitize import as_png, fit, read_mask, read_picture
from services.images.images import MAX_PICTURE_BYTES, Images
from services.logs import event
from services.records import Job, Record, Source, User
from services.sentences import sentence
from services.store import keys
from services.store.jobs import JobStore

# Newer uploads replace the oldest; all are removed after 30 days.
MOST_UPLOADS, MOST_MASKS = 100, 300
# A mask file may differ from the picture in size, but not in aspect ratio.
SAME_SHAPE = 0.03
# One submission can send many jobs with the same picture.
READ_KEPT_S = 60.0
MOST_READ = 2
GONE = sentence("The picture to draw over is no longer stored. Choose it again.")


class SourcePicture(Record):
    """A stored picture that can be drawn over. `mask` is the id of its mask, or None."""

    id: str
    width: int
    height: int
    url: str
    mask: str | None = None


class Sources:
    """The uploads of all users, in the inputs bucket below `<user>/uploads/` and `<user>/masks/`."""

    def __init__(self, inputs: Objects, pictures: Objects, images: Images, store: JobStore) -> None:
        self._inputs = inputs
        self._pictures = pictures
        self._images = images
        self._store = store
        self._lock = threading.Lock()
        self._read: OrderedDict[tuple[object, ...], tuple[float, dict[str, bytes]]] = OrderedDict()

    def keep(self, user: User, file: bytes) -> SourcePicture:
        """Sanitizes and stores an uploaded picture for 30 days. Two AWS calls, two more for each upload that it
        replaces.

        Raises InvalidRequest(image) for a file that is not a picture, too large, or broken.
        """
        with DECODING.turn(user.id, pixels_of({"image": file})):
            picture = read_picture(file, param="image")
            png = as_png(picture)
        upload_id = self._put(user, keys.UPLOADS, picture.size, png)
        self._trim(user, keys.UPLOADS, MOST_UPLOADS)
        self._trim(user, keys.MASKS, MOST_MASKS)
        event("source_kept", user=user.id, width=picture.width, height=picture.height)
        return self.look(user, upload_id)

    def keep_mask(self, user: User, source: SourcePicture, file: bytes) -> str:
        """Stores a mask for `source`, in its size, and returns its id. One AWS call.

        Raises InvalidRequest(mask), also if the mask's aspect ratio differs from the picture's.
        """
        size = (source.width, source.height)
        with DECODING.turn(user.id, pixels_of({"mask": file})):
            mask = read_mask(file, param="mask")
            png = as_png(mask.resize(size, Pillow.Resampling.BILINEAR))
        if abs(mask.width / mask.height / (source.width / source.height) - 1) > SAME_SHAPE:
            raise InvalidRequest(
                sentence(
                    "The mask is {width} x {height} pixels and the picture {wanted_width} x {wanted_height}: "
                    "they must have the same shape.",
                    width=mask.width,
                    height=mask.height,
                    wanted_width=source.width,
                    wanted_height=source.height,
                ),
                param="mask",
            )
        return self._put(user, keys.MASKS, size, png)

    def look(self, user: User, source_id: str) -> SourcePicture:
        """Returns the stored picture with a fresh link; one AWS call, two for a job's. Raises NotFound."""
        if size := keys.split_upload_id(source_id):
            key = _upload_key(user, keys.UPLOADS, source_id)
            if not self._inputs.exists(key):
                raise NotFound(GONE)
            return SourcePicture(id=source_id, width=size[0], height=size[1], url=self._inputs.link(key))
        if keys.split_image_id(source_id):
            image = self._images.get(user, source_id)
            return SourcePicture(
                id=source_id, width=image.width, height=image.height, url=self._images.url(image)
            )
        job = self._drawn_over(user, source_id)
        key = keys.input_key(user.id, job.id, "image")
        if not self._inputs.exists(key):
            raise NotFound(GONE)
        return SourcePicture(
            id=source_id,
            width=job.spec.width,
            height=job.spec.height,
            url=self._inputs.link(key),
            mask=None if job.spec.mask_sha256 is None else job.id,
        )

    def mask(self, user: User, mask_id: str) -> bytes:
        """Returns the PNG of a stored mask. One AWS call, two for a job's. Raises NotFound."""
        if keys.split_upload_id(mask_id):
            key = _upload_key(user, keys.MASKS, mask_id)
        else:
            key = keys.input_key(user.id, self._drawn_over(user, mask_id).id, "mask")
        return self._get(self._inputs, key, sentence("The mask is no longer stored. Paint it again."))

    def read(self, user: User, source: Source, size: tuple[int, int]) -> dict[str, bytes]:
        """Returns picture and mask of `source` as PNGs of `size`, by payload name. Two AWS calls, cached for a minute.

        Raises NotFound for another user's source or one that is gone.
        """
        asked = (user.id, source, size)
        with self._lock:
            known = self._read.get(asked)
            if known is not None and time.monotonic() - known[0] < READ_KEPT_S:
                return known[1]
        stored = {"image": self._file(user, source.id)}
        if source.mask is not None:
            stored["mask"] = self.mask(user, source.mask)
        with DECODING.turn(user.id, pixels_of(stored)):
            picture = read_picture(stored["image"], param="image")
            files = {"image": as_png(fit(picture, size, source.fit))}
            if "mask" in stored:
                mask = read_mask(stored["mask"], param="mask")
                if mask.size != picture.size:
                    mask = mask.resize(picture.size, Pillow.Resampling.BILINEAR)
                files["mask"] = as_png(fit(mask, size, source.fit))
        with self._lock:
            self._read[asked] = (time.monotonic(), files)
            while len(self._read) > MOST_READ:
                self._read.popitem(last=False)
        return files

    def _file(self, user: User, source_id: str) -> bytes:
        if keys.split_upload_id(source_id):
            return self._get(self._inputs, _upload_key(user, keys.UPLOADS, source_id), GONE)
        if keys.split_image_id(source_id):
            return self._get(self._pictures, self._images.get(user, source_id).key, GONE)
        job = self._drawn_over(user, source_id)
        return self._get(self._inputs, keys.input_key(user.id, job.id, "image"), GONE)

    def _drawn_over(self, user: User, job_id: str) -> Job:
        job = self._store.find(user.id, job_id) if keys.is_job_id(job_id) else None
        if job is None or job.spec.image_sha256 is None:
            raise NotFound(GONE)
        return job

    def _put(self, user: User, kind: str, size: tuple[int, int], png: bytes) -> str:
        upload_id = keys.new_upload_id(*size)
        self._inputs.put(_upload_key(user, kind, upload_id), png, content_type="image/png")
        return upload_id

    def _get(self, bucket: Objects, key: str, gone: str) -> bytes:
        try:
            return bucket.get(key, max_bytes=MAX_PICTURE_BYTES)
        except NotFound as exc:
            raise NotFound(gone) from exc

    def _trim(self, user: User, kind: str, most: int) -> None:
        """Erases the oldest uploads of a kind beyond `most`; their ids sort by time."""
        kept = sorted(self._inputs.keys(keys.uploads_prefix(user.id, kind)))
        for key in kept[:-most]:
            self._inputs.erase(key)


def _upload_key(user: User, kind: str, upload_id: str) -> str:
    return f"{keys.uploads_prefix(user.id, kind)}{upload_id}"
