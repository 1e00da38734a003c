"""The container's payload and answer, as the studio writes and reads them (docs/contracts.md)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from services.errors import BadOutput
from services.metadata import verify_png
from services.records import Job, JobFailure, Timings

# Four pictures of 2048 x 2048 pixels as PNG in base64 stay below this.
MAX_ANSWER_BYTES = 96 * 1024 * 1024


class Picture(BaseModel):
    """One picture of the answer."""

    model_config = ConfigDict(frozen=True)

    data: str
    format: Literal["png"]
    seed: int
    width: int
    height: int
    sha256: str

    def file(self) -> bytes:
        """The PNG's bytes. Raises BadOutput when they are not those that the container hashed."""
        try:
            raw = base64.b64decode(self.data, validate=True)
        except (binascii.Error, ValueError) as exc:
            raise BadOutput("The model's answer holds a picture that is not base64.") from exc
        if hashlib.sha256(raw).hexdigest() != self.sha256:
            raise BadOutput("A picture was damaged on its way: its bytes do not match their hash.")
        return raw


class ModelIdentity(BaseModel):
    """What drew: the model's name and the hash of its weights."""

    name: str
    revision: str


class Succeeded(BaseModel):
    """Pictures, and what they cost in seconds."""

    status: Literal["succeeded"]
    images: list[Picture]
    model: ModelIdentity
    timings: Timings
    gpu_s: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    device: str = ""
    versions: dict[str, str] = {}


class Canceled(BaseModel):
    """The container saw the cancel marker."""

    status: Literal["canceled"]


Answer = Annotated[Succeeded | Canceled, Field(discriminator="status")]
_answer: TypeAdapter[Succeeded | Canceled] = TypeAdapter(Answer)


def payload(job: Job, *, outputs_bucket: str, prefix: str) -> bytes:
    """The JSON body that the container takes for this attempt of the job."""
    spec = job.spec
    return json.dumps(
        {
            "prompt": spec.prompt,
            "negative_prompt": spec.negative_prompt,
            "width": spec.width,
            "height": spec.height,
            "num_inference_steps": spec.steps,
            "guidance_scale": spec.guidance,
            "scheduler": spec.scheduler,
            "seed": spec.seed,
            "num_images_per_prompt": spec.count,
            "job": {"bucket": outputs_bucket, "prefix": prefix, "attempt": job.attempt},
        },
        ensure_ascii=False,
    ).encode()


def read_answer(raw: bytes, job: Job) -> tuple[Succeeded | Canceled, list[bytes]]:
    """The answer and its PNGs, each verified to be whole and of the size that was asked for.

    Raises BadOutput saying what is wrong: no JSON, pictures missing, truncated, of another size or seed.
    """
    try:
        answer = _answer.validate_json(raw)
    except ValidationError as exc:
        problem = exc.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise BadOutput(f"The model's answer cannot be read: {where or 'body'}: {problem['msg']}.") from exc
    if isinstance(answer, Canceled):
        return answer, []
    spec = job.spec
    if len(answer.images) != spec.count:
        raise BadOutput(f"The model returned {len(answer.images)} pictures instead of {spec.count}.")
    pictures = []
    for n, picture in enumerate(answer.images):
        expected_seed = (spec.seed + n) % 2**32
        if picture.seed != expected_seed:
            raise BadOutput(f"Picture {n + 1} was drawn with seed {picture.seed}, not {expected_seed}.")
        data = picture.file()
        verify_png(data, spec.width, spec.height)
        pictures.append(data)
    return answer, pictures


REASONS = {
    "invalid_request": "The model refused the request: {message}",
    "model_error": "The model failed while drawing. Try again, or with another seed.",
    "out_of_memory": "The picture is too large for the model's memory. Ask for a smaller one or fewer.",
    "busy": "The endpoint was too busy for too long. Try again later.",
    "shutting_down": "The endpoint was stopped in the middle of the job. Try again.",
    "timeout": "The model took too long and was stopped. Try fewer steps or a smaller picture.",
}
# The container handed the job back undone: another attempt can succeed.
HANDED_BACK = frozenset({"busy", "shutting_down"})


def read_failure(raw: bytes | None, reason: str) -> JobFailure:
    """Why an invocation failed, in words, from the failure object (None when there is none) and SNS's reason."""
    code, message = "", ""
    try:
        error = json.loads(raw or b"{}").get("error", {})
        code, message = str(error.get("code", "")), str(error.get("message", ""))
    except (ValueError, AttributeError):
        # SageMaker's own failure objects are plain text.
        pass
    # Who stopped a hanging container reports its death; only the reason says that it was a time-out.
    timed_out = code not in REASONS or code == "model_error"
    if timed_out and re.search(r"tim(e|ed)[ -]?out", f"{reason} {message}", re.IGNORECASE):
        code = "timeout"
    elif code not in REASONS:
        code = "model_crashed"
    words = REASONS.get(
        code, "The model stopped without an answer. Try again; tell the admin if it happens again."
    )
    return JobFailure(code=code, message=words.replace("{message}", message[:300]))
