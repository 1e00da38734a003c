"""What a maker asks for, before and after the model's card has filled it in."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from services.records.base import Record


class Fit(StrEnum):
    """How a picture comes into another shape: cut around its middle, with white bars, or pulled into it."""

    CROP = "crop"
    PAD = "pad"
    STRETCH = "stretch"


class Source(Record):
    """A stored picture to draw over: the id of an upload, of a picture, or of a job that was drawn over one.

    `mask` is the id of a stored mask, or of the job whose mask it is; white areas are redrawn.
    """

    id: str
    fit: Fit = Fit.CROP
    mask: str | None = None


class When(StrEnum):
    """When a job may run: at once, waking its model if need be, or when the model is awake anyway."""

    NOW = "now"
    WARM = "warm"


class Draft(Record):
    """On a job of drafts: what its finals are to be drawn with, and which drafts belong together (one press).

    The job is the `part`-th (from 0) of the `parts` jobs of its press.
    """

    group: str
    steps: int
    quality: str
    part: int = 0
    parts: int = 1


class JobRequest(Record):
    """What a maker asks for, before the model's card has been consulted. Only the prompt is needed.

    Values are deliberately loose here (`catalogue.resolve` checks them against the card and says what to
    change); `seed` None means random. `image` and `mask` are picture files: the first is drawn over, where the second
    is white or everywhere. `source` stands for both when they are stored already. `when` WARM
    waits for the model to be awake, `within_s` seconds at most (None: the default). `draft` is set on drafts,
    `final_of` (a job of drafts) on what is drawn of them in full.
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
    """A request with every value resolved: what is really run. `width`/`height` in pixels, `seed` uint32.

    The pictures that came with it lie in the inputs bucket; here are their hashes, None where there is none.
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
        """What is asked for, by the pictures that came along."""
        if self.image_sha256 is None:
            return Task.TEXT_TO_IMAGE
        return Task.IMAGE_TO_IMAGE if self.mask_sha256 is None else Task.INPAINTING

    def request(self) -> JobRequest:
        """What asks for the same again, every value fixed, but for what was drawn over: that is not in it."""
        both = JobRequest.model_fields.keys() & type(self).model_fields.keys()
        return JobRequest(**{name: getattr(self, name) for name in both})

    @property
    def steps_to_draw(self) -> int:
        """Steps that are really made: drawing over a picture enters the schedule in the middle."""
        return self.steps if self.strength is None else steps_over(self.steps, self.strength)


def steps_over(steps: int, strength: float) -> int:
    """How many of `steps` are made over a picture at that strength, as the container counts them."""
    return max(1, int(steps * strength + 1e-6))
