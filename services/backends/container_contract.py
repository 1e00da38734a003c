"""The container's payload and answer, as the studio writes and reads them (docs/contracts.md)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import json
import re
from collections.abc import Mapping
from typing import Annotated, Literal

from PIL import Image as Pillow
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from services.backends.base import DrawnPicture, DrawnResult, Stopped
from services.backends.failures import REASONS, job_failure
from services.errors import BadOutput
from services.formats.png_metadata import verify_png
from services.records import Hint, Job, JobFailure, Provenance, Timings
from services.sentences import sentence

# Four pictures of 2048 x 2048 pixels as PNG in base64 stay below this.
MAX_ANSWER_BYTES = 96 * 1024 * 1024
# The longest text from the container that a record stores.
MAX_VERSIONS = 20
MAX_NAME_CHARACTERS = 60


class Picture(BaseModel):
    """One picture of the answer; a withheld one has a reason instead of its bytes."""

    model_config = ConfigDict(frozen=True)

    data: str | None
    format: Literal["png", "webp"]
    seed: int
    width: int
    height: int
    sha256: str | None
    nsfw: Annotated[float, Field(ge=0, le=1)] | None = None
    withheld: Annotated[str, StringConstraints(pattern=r"\A[a-z_]{1,40}\z")] | None = None

    def png(self, width: int, height: int) -> bytes | None:
        """Returns the picture as a PNG in any case; None if it was withheld.

        Raises BadOutput if its bytes do not match the container's hash, or it has another size.
        """
        if self.withheld is not None:
            if self.data is not None:
                raise BadOutput("The model's answer holds a picture that it says was withheld.")
            return None
        if self.data is None:
            raise BadOutput("The model's answer lacks a picture and does not say why.")
        raw = self._file(self.data)
        if self.format == "webp":
            return _webp_as_png(raw, width, height)
        verify_png(raw, width, height)
        return raw

    def _file(self, data: str) -> bytes:
        try:
            raw = base64.b64decode(data, validate=True)
        except (binascii.Error, ValueError) as exc:
            raise BadOutput("The model's answer holds a picture that is not base64.") from exc
        if hashlib.sha256(raw).hexdigest() != self.sha256:
            raise BadOutput("A picture was damaged on its way: its bytes do not match their hash.")
        return raw


class ModelIdentity(BaseModel):
    """The model's name and the hash of its weights."""

    name: str
    revision: str


class Nearest(BaseModel):
    """The container's hint: known concepts near an unknown one."""

    nearest: Annotated[
        list[Annotated[str, StringConstraints(min_length=1, max_length=100)]],
        Field(min_length=1, max_length=20),
    ]
    likeness: Annotated[float, Field(ge=-1, le=1, allow_inf_nan=False)]


class Succeeded(BaseModel):
    """The pictures and their time in seconds."""

    status: Literal["succeeded"]
    images: list[Picture]
    model: ModelIdentity
    timings: Timings
    gpu_s: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    hint: Nearest | None = None
    batch_pictures: Annotated[int, Field(ge=1)] | None = None
    device: str = ""
    versions: dict[str, str] = {}

    def provenance(self) -> Provenance:
        """Returns the model's identity as a job stores it: a bounded number of names of bounded length."""
        versions = list(self.versions.items())[:MAX_VERSIONS]
        return Provenance(
            revision=self.model.revision[:MAX_NAME_CHARACTERS],
            device=self.device[:MAX_NAME_CHARACTERS],
            versions={
                name[:MAX_NAME_CHARACTERS]: version[:MAX_NAME_CHARACTERS] for name, version in versions
            },
        )

    def hint_record(self) -> Hint | None:
        """Returns the hint as a job stores it."""
        return Hint(nearest=tuple(self.hint.nearest), likeness=self.hint.likeness) if self.hint else None


class Canceled(BaseModel):
    """The container saw the cancel marker."""

    status: Literal["canceled"]


Answer = Annotated[Succeeded | Canceled, Field(discriminator="status")]
_answer: TypeAdapter[Succeeded | Canceled] = TypeAdapter(Answer)


def payload(
    job: Job, *, outputs_bucket: str, prefix: str, deadline_s: float, pictures: Mapping[str, bytes]
) -> bytes:
    """Returns the JSON body of this attempt for the container.

    `deadline_s` is the time limit from its arrival there; `pictures` are the files `image` and `mask`.
    """
    spec = job.spec
    drawn_over: dict[str, str | float] = {
        name: base64.b64encode(data).decode() for name, data in pictures.items()
    }
    if drawn_over and spec.strength is not None:
        drawn_over["strength"] = spec.strength
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
            "deadline_s": deadline_s,
            **drawn_over,
            "job": {"bucket": outputs_bucket, "prefix": prefix, "attempt": job.attempt},
        },
        ensure_ascii=False,
    ).encode()


def read_answer(raw: bytes, job: Job) -> DrawnResult | Stopped:
    """Parses the answer; its pictures are PNGs, verified to be whole and of the requested size.

    Raises BadOutput naming the problem: not JSON, pictures missing, truncated, or of another size or seed.
    """
    try:
        answer = _answer.validate_json(raw)
    except ValidationError as exc:
        problem = exc.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise BadOutput(
            sentence(
                "The model's answer cannot be read: {where}: {problem}.",
                where=where or "body",
                problem=problem["msg"],
            )
        ) from exc
    if isinstance(answer, Canceled):
        return Stopped()
    spec = job.spec
    if len(answer.images) != spec.count:
        raise BadOutput(
            sentence(
                "The model returned {count} pictures instead of {wanted}.",
                count=len(answer.images),
                wanted=spec.count,
            )
        )
    pictures: list[DrawnPicture] = []
    for n, picture in enumerate(answer.images):
        expected_seed = (spec.seed + n) % 2**32
        if picture.seed != expected_seed:
            raise BadOutput(
                sentence(
                    "Picture {number} was drawn with seed {seed}, not {wanted}.",
                    number=n + 1,
                    seed=picture.seed,
                    wanted=expected_seed,
                )
            )
        png = picture.png(spec.width, spec.height)
        pictures.append(
            DrawnPicture(seed=picture.seed, png=png, withheld=picture.withheld, score=picture.nsfw)
        )
    return DrawnResult(
        pictures=tuple(pictures),
        seconds=answer.gpu_s,
        timings=answer.timings,
        provenance=answer.provenance(),
        hint=answer.hint_record(),
        batch_pictures=answer.batch_pictures,
    )


def _webp_as_png(raw: bytes, width: int, height: int) -> bytes:
    """Converts a lossless WebP of that size to a PNG with the same pixels. Raises BadOutput for anything else."""
    # RFC 9649, 2.6: a file without metadata holds one chunk, of this name when it is lossless.
    if raw[:4] != b"RIFF" or raw[8:16] != b"WEBPVP8L":
        raise BadOutput("The model returned a picture that is not a lossless WebP.")
    target = io.BytesIO()
    try:
        with Pillow.open(io.BytesIO(raw), formats=["WEBP"]) as picture:
            if picture.size != (width, height):
                raise BadOutput(
                    sentence(
                        "The model returned a picture of {width} x {height} pixels, not {wanted_width} x "
                        "{wanted_height}.",
                        width=picture.width,
                        height=picture.height,
                        wanted_width=width,
                        wanted_height=height,
                    )
                )
            picture.convert("RGB").save(target, "PNG")
    except (OSError, ValueError, SyntaxError, Pillow.DecompressionBombError) as exc:
        raise BadOutput("The model returned a WebP that cannot be read to its end.") from exc
    return target.getvalue()


DEADLINE_EXCEEDED = "deadline_exceeded"
# The container returned the job without beginning it: another attempt can succeed.
HANDED_BACK = frozenset({"busy", "shutting_down"})


def read_failure(raw: bytes | None, reason: str) -> JobFailure:
    """Returns why an invocation failed, from the failure object (None if there is none) and SNS's reason."""
    code, message = "", ""
    try:
        error = json.loads(raw or b"{}").get("error", {})
        code, message = str(error.get("code", "")), str(error.get("message", ""))
    except (ValueError, AttributeError, RecursionError):
        # SageMaker's own failure objects are plain text.
        pass
    # A hanging container is reported as a crash; only the reason names the timeout.
    timed_out = code not in REASONS or code == "model_error"
    if timed_out and re.search(r"tim(e|ed)[ -]?out", f"{reason} {message}", re.IGNORECASE):
        code = "timeout"
    elif code not in REASONS:
        code = "model_crashed"
    return job_failure(code, message=message[:300])
