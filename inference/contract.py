"""The typed contract of `/invocations`: requests and answers."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any, Literal, get_args

import numpy as np
import numpy.typing as npt
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from inference.errors import InferenceError, InvalidRequest
from inference.pictures import MAX_BASE64_CHARS, MAX_FILE_BYTES, read_mask, read_picture

MAX_SEED = 2**32 - 1
MAX_SIDE_PX = 2048
GRID_PX = 8
MAX_STEPS = 150
MAX_COUNT = 8
MAX_PROMPT_CHARS = 2000
MAX_GUIDANCE = 30.0
MIN_DEADLINE_S = 0.1
MAX_DEADLINE_S = 3600.0

MIN_STRENGTH = 0.01
MAX_LORAS = 4
MAX_LORA_SCALE = 2.0

SchedulerName = Literal["ddim", "unipc", "dpmpp_2m", "euler", "euler_ancestral", "lcm", "flow_euler"]
Task = Literal["text_to_image", "image_to_image", "inpainting"]
ImageFormat = Literal["png", "webp"]
SCHEDULER_NAMES: tuple[SchedulerName, ...] = get_args(SchedulerName)

# The rule of each field: the end of "`width` must be ...".
RULES = {
    "prompt": f"text of 1 to {MAX_PROMPT_CHARS} characters without control characters",
    "negative_prompt": f"text of at most {MAX_PROMPT_CHARS} characters without control characters",
    "width": f"a whole number of pixels, a multiple of {GRID_PX} from {GRID_PX} to {MAX_SIDE_PX}",
    "height": f"a whole number of pixels, a multiple of {GRID_PX} from {GRID_PX} to {MAX_SIDE_PX}",
    "num_inference_steps": f"a whole number from 1 to {MAX_STEPS}",
    "guidance_scale": f"a number from 0 to {MAX_GUIDANCE:g}",
    "scheduler": "one of " + ", ".join(SCHEDULER_NAMES),
    "seed": f"a whole number from 0 to {MAX_SEED}",
    "num_images_per_prompt": f"a whole number from 1 to {MAX_COUNT}",
    "image": f"base64 of a PNG, JPEG or WebP file of at most {MAX_FILE_BYTES // 1024 // 1024} MiB, or left out",
    "strength": f"a number from {MIN_STRENGTH:g} to 1, or left out",
    "mask": f"base64 of a PNG, JPEG or WebP file of at most {MAX_FILE_BYTES // 1024 // 1024} MiB, or left out",
    "loras": f"a list of at most {MAX_LORAS} objects with name and scale, or left out",
    "loras.name": "the name of a LoRA that this server found at start",
    "loras.scale": f"a number from {-MAX_LORA_SCALE:g} to {MAX_LORA_SCALE:g}",
    "deadline_s": f"a number of seconds from {MIN_DEADLINE_S:g} to {MAX_DEADLINE_S:g}, or left out",
    "job": "an object with bucket, prefix and attempt, or left out",
    "job.bucket": "the name of an S3 bucket",
    "job.prefix": "`<user>/<job>`, each of letters, digits, - and _",
    "job.attempt": "a whole number from 1 to 1000000",
}

Side = Annotated[int, Field(ge=GRID_PX, le=MAX_SIDE_PX, multiple_of=GRID_PX)]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)


class JobReference(_Strict):
    """The location of one attempt's progress, preview, and cancel marker in S3."""

    bucket: Annotated[str, StringConstraints(pattern=r"\A[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]\z")]
    prefix: Annotated[str, StringConstraints(pattern=r"\A[A-Za-z0-9_-]{1,64}/[A-Za-z0-9_-]{1,64}\z")]
    attempt: Annotated[int, Field(ge=1, le=1_000_000)]

    @property
    def progress_key(self) -> str:
        """S3 key of the progress object."""
        return f"{self.prefix}/{self.attempt}.progress.json"

    @property
    def preview_key(self) -> str:
        """S3 key of the preview picture."""
        return f"{self.prefix}/{self.attempt}.preview.webp"

    @property
    def cancel_key(self) -> str:
        """S3 key whose existence asks the server to stop the job."""
        return f"{self.prefix}/cancel"


class LoraReference(_Strict):
    """A LoRA in the server's folder and its strength; 0 turns it off."""

    name: Annotated[str, StringConstraints(pattern=r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,63}\z")]
    scale: Annotated[float, Field(ge=-MAX_LORA_SCALE, le=MAX_LORA_SCALE, allow_inf_nan=False)]


class Payload(_Strict):
    """One request. Every field up to `num_images_per_prompt` except `negative_prompt` is required.

    `image` and `mask` are base64 files; `image_pixels` and `mask_pixels` are their pixels, decoded once. `deadline_s`
    counts seconds from the request's arrival; after it the answer is no longer wanted.
    """

    prompt: Annotated[str, StringConstraints(min_length=1, max_length=MAX_PROMPT_CHARS)]
    negative_prompt: Annotated[str, StringConstraints(max_length=MAX_PROMPT_CHARS)] = ""
    width: Side
    height: Side
    num_inference_steps: Annotated[int, Field(ge=1, le=MAX_STEPS)]
    guidance_scale: Annotated[float, Field(ge=0, le=MAX_GUIDANCE, allow_inf_nan=False)]
    scheduler: SchedulerName
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)]
    num_images_per_prompt: Annotated[int, Field(ge=1, le=MAX_COUNT)]
    image: Annotated[str | None, Field(min_length=1, max_length=MAX_BASE64_CHARS, repr=False)] = None
    strength: Annotated[float | None, Field(ge=MIN_STRENGTH, le=1, allow_inf_nan=False)] = None
    mask: Annotated[str | None, Field(min_length=1, max_length=MAX_BASE64_CHARS, repr=False)] = None
    loras: Annotated[tuple[LoraReference, ...], Field(max_length=MAX_LORAS, strict=False)] = ()
    deadline_s: Annotated[float | None, Field(ge=MIN_DEADLINE_S, le=MAX_DEADLINE_S, allow_inf_nan=False)] = (
        None
    )
    job: JobReference | None = None

    @field_validator("prompt", "negative_prompt")
    @classmethod
    def _refuse_control_characters(cls, text: str) -> str:
        if any((ord(c) < 32 and c not in "\n\r\t") or 127 <= ord(c) < 160 for c in text):
            raise ValueError("control character")
        return text

    @field_validator("prompt")
    @classmethod
    def _refuse_blank(cls, text: str) -> str:
        if not text.strip():
            raise ValueError("blank")
        return text

    @model_validator(mode="after")
    def _check_together(self) -> Payload:
        # These errors name their field themselves, unlike ValueError.
        if self.image is None and self.strength is not None:
            raise InvalidRequest(
                "`strength` goes with `image`: send a picture or leave it out.", param="strength"
            )
        if self.image is not None and self.strength is None:
            raise InvalidRequest(
                "`strength` is missing: with `image` it must be "
                f"{RULES['strength'].removesuffix(', or left out')}.",
                param="strength",
            )
        if self.mask is not None and self.image is None:
            raise InvalidRequest(
                "`mask` goes with `image`: send the picture to change as well.", param="mask"
            )
        names = [lora.name for lora in self.loras]
        if len(set(names)) < len(names):
            raise InvalidRequest(
                "`loras` names one LoRA twice: give each once, with its scale.", param="loras"
            )
        return self

    @property
    def task(self) -> Task:
        """The task, determined by the pictures in the request."""
        if self.image is None:
            return "text_to_image"
        return "image_to_image" if self.mask is None else "inpainting"

    @property
    def steps_to_draw(self) -> int:
        """The steps that are actually run: an image-to-image request enters the schedule in the middle."""
        if self.strength is None:
            return self.num_inference_steps
        # Floats: 0.7 x 10 is a little less than 7.
        return max(1, int(self.num_inference_steps * self.strength + 1e-6))

    @cached_property
    def image_pixels(self) -> npt.NDArray[np.uint8]:
        """`image` as uint8 (height, width, 3). Raises `InvalidRequest` when the file is not a valid picture."""
        if self.image is None:
            raise ValueError("a request without a picture")
        return read_picture(self.image, "image", self.width, self.height)

    @cached_property
    def mask_pixels(self) -> npt.NDArray[np.uint8]:
        """`mask` as uint8 (height, width): 255 is redrawn, 0 is kept. Raises `InvalidRequest` like `image_pixels`."""
        if self.mask is None:
            raise ValueError("a request without a mask")
        return read_mask(self.mask, "mask", self.width, self.height)

    def seeds(self) -> list[int]:
        """Return one seed per picture, wrapping around at 2^32."""
        return [(self.seed + i) % (MAX_SEED + 1) for i in range(self.num_images_per_prompt)]


class Progress(BaseModel):
    """The progress object in S3; times are RFC 3339 in UTC."""

    step: int
    steps: int
    started_at: str
    updated_at: str


class Image(BaseModel):
    """One picture of an answer: `data` is a file of that `format` in base64, `sha256` is the hash of the file.

    `nsfw` is the output check's score from 0 to 1, None if the check is off. A withheld picture has a reason and
    neither `data` nor `sha256`.
    """

    data: str | None
    format: ImageFormat
    seed: int
    width: int
    height: int
    sha256: str | None
    nsfw: float | None = None
    withheld: Literal["nsfw"] | None = None


class Hint(BaseModel):
    """Sent when the prompt is far from what a small model knows: the nearest concepts, nearest first."""

    nearest: list[str]
    likeness: float


class ModelReference(BaseModel):
    """The weights that drew the pictures: `revision` changes with any weight or configuration file."""

    name: str
    revision: str


class Timings(BaseModel):
    """Seconds: waiting for other requests, for the model to load, then each stage, and the total.

    Text, steps, and decoding are those of the whole pass that drew the request.
    """

    queue_s: float
    load_s: float
    encode_text_s: float
    denoise_s: float
    decode_s: float
    check_s: float
    encode_s: float
    total_s: float


class Succeeded(BaseModel):
    """The answer with pictures. `gpu_s` is the request's share, by pictures, of the time the model thread was busy
    with the batch of `batch_pictures` pictures that it was drawn in."""

    status: Literal["succeeded"] = "succeeded"
    images: list[Image]
    hint: Hint | None
    model: ModelReference
    timings: Timings
    batch_pictures: int
    gpu_s: float
    peak_memory_bytes: int
    device: str
    versions: dict[str, str]


class Canceled(BaseModel):
    """The answer after the cancel marker was seen, at `step` steps."""

    status: Literal["canceled"] = "canceled"
    step: int
    gpu_s: float


def parse_payload(body: bytes) -> Payload:
    """Return the request in `body`, its pictures decoded; blocks for up to a second with large ones.

    Raises `InvalidRequest` naming the first wrong field and its rule.
    """
    try:
        payload = Payload.model_validate_json(body)
    except ValidationError as exc:
        raise _explain(exc.errors(include_url=False, include_input=False)[0]) from None
    # Decode now, not on the model thread.
    if payload.image is not None:
        _ = payload.image_pixels
    if payload.mask is not None:
        _ = payload.mask_pixels
    return payload


def _explain(error: Any) -> InvalidRequest:
    kind = str(error["type"])
    # The rule of `loras.0.scale` is that of `loras.scale`.
    name = ".".join(str(part) for part in error["loc"] if not isinstance(part, int))
    if kind == "json_invalid":
        return InvalidRequest(f"The body is not JSON: {error['ctx']['error']}. Send one JSON object.")
    if not name:
        return InvalidRequest("The body must be one JSON object with the fields of the contract.")
    # The caller's key can have any length.
    shown = name if len(name) <= 80 else name[:80] + "..."
    if kind == "extra_forbidden":
        within: dict[str, type[BaseModel]] = {"job": JobReference, "loras": LoraReference}
        known = within[name.partition(".")[0]] if name.startswith(("job.", "loras.")) else Payload
        return InvalidRequest(
            f"`{shown}` is not a field of this request; leave it out. "
            f"The fields are: {', '.join(known.model_fields)}.",
            param=shown,
        )
    if kind == "missing":
        return InvalidRequest(f"`{name}` is missing: it must be {RULES[name]}.", param=name)
    return InvalidRequest(f"`{name}` must be {RULES[name]}.", param=name)


def error_body(error: InferenceError) -> dict[str, object]:
    """Return `error` in its wire format."""
    return {"error": {"code": error.code, "message": error.message, "param": error.param}}
