"""Re-runs of a picture's recipe: whether it still draws the same picture, compared by pixel.

The note that names the re-run of a picture is written in the transaction that creates the job, so that neither exists
without the other. The result of a comparison is stored in that note.
"""

from __future__ import annotations

import io
import threading
from dataclasses import dataclass

from PIL import Image as Pillow
from PIL import ImageChops

from services.aws.objects import Objects
from services.errors import BadOutput, NotFound
from services.images.images import MAX_PICTURE_BYTES, Images
from services.jobs.jobs import Jobs
from services.jobs.repeats import Repeats
from services.logs import event
from services.records import Image, Job, JobStatus, User
from services.sentences import sentence
from services.store import keys
from services.store.images import Place
from services.store.reruns import Difference, Rerun, RerunStore, add_rerun

# The map is amplified so that its strongest difference is bright and a difference of one level remains visible.
MOST_AMPLIFIED = 64
# A comparison of the largest pictures needs about 60 MB; further ones wait.
AT_ONCE = 2
BROKEN = (OSError, ValueError, SyntaxError, Pillow.DecompressionBombError)


@dataclass(frozen=True)
class Reproduction:
    """A picture's last re-run: the job that drew the picture first, the job that drew it again (None if erased), its
    new picture if it has one, and a link to the map of the differences.
    """

    rerun: Rerun
    first: Job | None
    again: Job | None
    picture: Image | None
    map_url: str | None = None

    @property
    def open(self) -> bool:
        """True while the re-run's job is not finished."""
        return self.again is not None and not self.again.status.terminal


class Reproductions:
    """The re-runs of all users. Each method checks the owner."""

    def __init__(
        self, store: RerunStore, jobs: Jobs, images: Images, repeats: Repeats, objects: Objects
    ) -> None:
        self._store = store
        self._jobs = jobs
        self._images = images
        self._repeats = repeats
        self._objects = objects
        self._slots = threading.BoundedSemaphore(AT_ONCE)

    def start(self, user: User, image_id: str, *, key: str) -> Job:
        """Draws the picture again from its recipe, in a job that is priced and charged like any other. The same
        `key` creates one job. Raises NotFound, also for a source picture that is gone, and the errors of
        `Jobs.submit`.
        """
        image = self._images.get(user, image_id)
        request = self._repeats.picture(self._jobs.get(user, image.job_id), image)

        place = Place.of_image(image)
        return self._jobs.submit(
            user, request, idempotency_key=key, extra_writes=lambda job: add_rerun(place, job)
        )

    def latest(self, user: User, image_id: str) -> Reproduction | None:
        """Returns the picture's last re-run, compared once its job has succeeded, or None if there was none.

        Two AWS calls without a re-run, four with one. The first call after the job's end reads both pictures and writes
        the result. Raises NotFound.
        """
        image = self._images.get(user, image_id)
        rerun = self._store.latest(Place.of_image(image))
        if rerun is None:
            return None
        first, again = (self._job(user, job_id) for job_id in (image.job_id, rerun.job_id))
        if again is None or again.status is not JobStatus.SUCCEEDED:
            return Reproduction(rerun, first, again, None)
        try:
            picture = self._images.get(user, rerun.again_id)
        except NotFound:
            return Reproduction(rerun, first, again, None)
        if rerun.difference is None:
            rerun = self._compare(rerun, image, picture)
        found = rerun.difference
        map_url = self._objects.link(found.map_key) if found and found.map_key else None
        return Reproduction(rerun, first, again, picture, map_url)

    def _job(self, user: User, job_id: str) -> Job | None:
        try:
            return self._jobs.get(user, job_id)
        except NotFound:
            return None

    def _compare(self, rerun: Rerun, image: Image, picture: Image) -> Rerun:
        """Compares the two pictures, and stores the map and the figures; returns the updated re-run."""
        with self._slots:
            one, other = (
                self._objects.get(each.key, max_bytes=MAX_PICTURE_BYTES) for each in (image, picture)
            )
            found, drawn = difference(one, other)
        if drawn is not None:
            key = keys.difference_key(picture.user_id, picture.job_id, picture.n)
            self._objects.put(key, drawn, content_type="image/png")
            found = found.model_copy(update={"map_key": key})
        kept = self._store.set_difference(Place.of_image(image), rerun, found)
        # If the picture was erased meanwhile, its objects were erased before this map was stored.
        if not kept or not self._images.exists(picture):
            if found.map_key:
                self._objects.erase(found.map_key)
            raise NotFound("There is no such picture.")
        event("rerun_compared", user=image.user_id, image=image.id, job=picture.job_id, largest=found.largest)
        return rerun.model_copy(update={"difference": found})


def difference(first: bytes, second: bytes) -> tuple[Difference, bytes | None]:
    """Returns how two PNGs differ, and a map of the differences as a PNG; None for identical pixels.

    A pixel differs if any of its three channels does. Works on whole channels without a copy per pixel. Raises
    BadOutput for pictures that cannot be read or have different sizes.
    """
    try:
        with (
            Pillow.open(io.BytesIO(first), formats=["PNG"]) as a,
            Pillow.open(io.BytesIO(second), formats=["PNG"]) as b,
        ):
            if a.size != b.size:
                raise BadOutput(
                    sentence(
                        "The pictures are of different sizes: {width} x {height} and {other_width} x {other_height}.",
                        width=a.width,
                        height=a.height,
                        other_width=b.width,
                        other_height=b.height,
                    )
                )
            apart = ImageChops.difference(a.convert("RGB"), b.convert("RGB"))
    except BROKEN as exc:
        raise BadOutput("One of the pictures cannot be read.") from exc
    red, green, blue = apart.split()
    levels = ImageChops.lighter(ImageChops.lighter(red, green), blue).histogram()
    pixels = apart.width * apart.height
    if levels[0] == pixels:
        return Difference(largest=0, differing=0, pixels=pixels), None
    largest = max(level for level, count in enumerate(levels) if count)
    amplified = max(1, min(MOST_AMPLIFIED, 255 // largest))
    target = io.BytesIO()
    apart.point(lambda level: min(255, level * amplified)).save(target, "PNG")
    found = Difference(largest=largest, differing=pixels - levels[0], pixels=pixels, amplified=amplified)
    return found, target.getvalue()
