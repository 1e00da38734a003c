"""Asking again for what a job was asked for: the same request, whole or with other seeds, its source pictures too."""

from __future__ import annotations

from services.catalogue.cards import MAX_SEED, Catalogue
from services.errors import InvalidRequest
from services.records import Fit, Image, Job, JobRequest, Source


class Repeats:
    """Turns jobs back into requests. What was drawn over is named, not read: who submits learns when it is gone."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def request(self, job: Job) -> JobRequest:
        """What the job was asked for, every value fixed."""
        spec = job.spec
        source = None
        if spec.image_sha256 is not None:
            # What a job keeps is of its own size already.
            source = Source(id=job.id, fit=Fit.STRETCH, mask=job.id if spec.mask_sha256 else None)
        return spec.request().model_copy(update={"quality": self._quality(job), "source": source})

    def picture(self, job: Job, image: Image) -> JobRequest:
        """What draws this one picture of the job again."""
        return self.request(job).model_copy(update={"seed": image.seed, "count": 1})

    def variations(self, job: Job, count: int, *, skip: int = 0) -> JobRequest:
        """The next `count` seeds after those of the job, after `skip` more of them."""
        first = (job.spec.seed + job.spec.count + skip) % (MAX_SEED + 1)
        return self.request(job).model_copy(update={"seed": first, "count": count})

    def _quality(self, job: Job) -> str | None:
        """Its name, as long as the model's card knows it: the steps say the same."""
        try:
            known = self._catalogue.card(job.spec.model).qualities
        except InvalidRequest:
            return None
        return job.spec.quality if job.spec.quality in known else None
