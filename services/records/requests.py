"""A maker's request, before and after the model's card has completed it."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from services.records.base import Record


class Fit(StrEnum):
    """How to fit a picture to another shape: crop around the center, pad with white bars, or stretch."""

    CROP = "crop"
    PAD = "pad"
    STRETCH = "stretch"


class Source(Record):
    """A stored picture to draw over: the id of an upload, of a picture, or of a job that drew over one.

    `mask` is the id of a stored mask or of the job with that mask; white areas are redrawn.
    """

    id: str
    fit: Fit = Fit.CROP
    mask: str | None = None


class When(StrEnum):
    """When a job may run: at once, waking its model if needed, or once the model is awake anyway."""

    NOW = "now"
    WARM = "warm"


class Draft(Record):
    """On a job of drafts: the settings for its finals, and which drafts belong together (one press).

    The job is the `part`-th (from 0) of the `parts` jobs of its press.
    """

    group: str
    steps: int
    quality: str
    part: int = 0
    parts: int = 1


class JobRequest(Record):
    """A maker's request before the model's card has been consulted. Only the prompt is required.

    Values are deliberately loose here (`catalogue.resolve` checks them against the card and says what to
    change); `seed` None means random. `image` and `mask` are picture files: the image is drawn over where the mask is
    white, or everywhere without one. `source` replaces both when they are already stored. `when` WARM
    waits for the model to be awake, at most `within_s` seconds (None: the default). `draft` is set on drafts,
    `final_of` (a job of drafts) on jobs that draw them in full.
    """

    prompt: str
    negative_prompt: str = ""
    model: str | None = None
    width: int | None = None
    height: int | None = None
    steps: int | None = None
    guidance: float | None = None
    scheduler: str | None = None
    quality: str | None = None
    seed: int | None = None
    count: int = 1
    image: bytes | None = Field(default=None, repr=False)
    strength: float | None = None
    mask: bytes | None = Field(default=None, repr=False)
    source: Source | None = None
    when: When = When.NOW
    within_s: int | None = None
    draft: Draft | None = None
    final_of: str | None = None

    @property
    def drawn_over(self) -> bool:
        """Whether there is a picture to draw over."""
        return self.image is not None or self.source is not None


class Task(StrEnum):
    TEXT_TO_IMAGE = "text-to-image"
    IMAGE_TO_IMAGE = "image-to-image"
    INPAINTING = "inpainting"


class JobSpec(Record):
    """A request with every value resolved, as it will run. `width`/`height` in pixels, `seed` uint32.

    The request's pictures are in the inputs bucket; this has their hashes, None for a missing one.
    """

    prompt: str
    negative_prompt: str
    model: str
    model_revision: str
    width: int
    height: int
    steps: int
    guidance: float
    scheduler: str
    quality: str
    seed: int
    count: int
    strength: float | None = None
    image_sha256: str | None = None
    mask_sha256: str | None = None

    @property
    def task(self) -> Task:
        """The task, derived from the request's pictures."""
        if self.image_sha256 is None:
            return Task.TEXT_TO_IMAGE
        return Task.IMAGE_TO_IMAGE if self.mask_sha256 is None else Task.INPAINTING

    def request(self) -> JobRequest:
        """Return a request for the same with every value fixed, except for source pictures, which it does not hold."""
        both = JobRequest.model_fields.keys() & type(self).model_fields.keys()
        return JobRequest(**{name: getattr(self, name) for name in both})

    @property
    def steps_to_draw(self) -> int:
        """The steps actually run: drawing over a picture starts in the middle of the schedule."""
        return self.steps if self.strength is None else steps_over(self.steps, self.strength)


def steps_over(steps: int, strength: float) -> int:
    """Return how many of `steps` run over a picture at that strength, as the container counts them."""
    return max(1, int(steps * strength + 1e-6))
