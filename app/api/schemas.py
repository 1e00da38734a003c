"""The API's request and response models; `presenters.py` fills them from the services' records."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from services.catalogue.cards import DEFAULT_STRENGTH, MAX_PROMPT_CHARACTERS, MAX_SEED, MIN_STRENGTH
from services.jobs import inputs
from services.jobs.admission import DEFAULT_WITHIN_S, MAX_WITHIN_S, MIN_WITHIN_S
from services.records import EndpointState, JobRequest, JobStatus, Role, Task

MAX_PAGE = 100
LINK = "A signed link, good for at most an hour; ask for the image again to get a fresh one."


class ResponseModel(BaseModel):
    """The base of all API responses."""

    model_config = ConfigDict(frozen=True)


class JobCreate(BaseModel):
    """A picture to make. Only the prompt is required; omitted fields use the model's defaults (`GET /v1/models`).

    Bounds here are documentation: the model's card decides, and its refusal says what to change.
    """

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"prompt": "a red apple", "count": 2, "seed": 7}]}
    )

    prompt: Annotated[
        str,
        Field(
            description="What to draw.",
            json_schema_extra={"minLength": 1, "maxLength": MAX_PROMPT_CHARACTERS},
        ),
    ]
    negative_prompt: Annotated[
        str, Field(description="What to avoid.", json_schema_extra={"maxLength": MAX_PROMPT_CHARACTERS})
    ] = ""
    model: Annotated[str | None, Field(description="An id of `GET /v1/models`.")] = None
    width: Annotated[int | None, Field(description="Pixels; a multiple of the model's `grid_px`.")] = None
    height: Annotated[int | None, Field(description="Pixels; a multiple of the model's `grid_px`.")] = None
    steps: Annotated[int | None, Field(description="Denoising steps; overrides `quality`.")] = None
    guidance: Annotated[
        float | None, Field(allow_inf_nan=False, description="How closely to follow the prompt.")
    ] = None
    scheduler: Annotated[str | None, Field(description="One of the model's `schedulers`.")] = None
    quality: Annotated[str | None, Field(description="One of the model's `qualities`.")] = None
    seed: Annotated[
        int | None,
        Field(
            description=f"0 to {MAX_SEED}; image i is drawn with seed + i. Left out: random, returned in `input`.",
            json_schema_extra={"examples": [7]},
        ),
    ] = None
    count: Annotated[int, Field(description="How many pictures.", json_schema_extra={"minimum": 1})] = 1
    image: Annotated[
        str | None,
        Field(
            repr=False,
            description=(
                "A picture to draw over: base64 of a PNG, JPEG or WebP file of at most 8192 pixels a side and "
                "25 megapixels (the whole body may have 16 MiB). It is turned upright, brought into sRGB and to "
                "`width` x `height`; nothing but its pixels is kept."
            ),
        ),
    ] = None
    strength: Annotated[
        float | None,
        Field(
            allow_inf_nan=False,
            description=f"With `image`: how much is redrawn, {MIN_STRENGTH:g} to 1. Left out: {DEFAULT_STRENGTH:g}.",
        ),
    ] = None
    mask: Annotated[
        str | None,
        Field(
            repr=False,
            description="With `image`, and like it: only white areas are redrawn, black is kept.",
        ),
    ] = None
    when: Annotated[
        Literal["now", "warm"],
        Field(
            description=(
                "`now` wakes the model if it is asleep. `warm` waits for it to be awake by somebody else's job, "
                "`within_s` at most, and then runs like `now`."
            )
        ),
    ] = "now"
    within_s: Annotated[
        int | None,
        Field(
            description=f"With `when`: `warm`: seconds to wait at most. Left out: {DEFAULT_WITHIN_S}.",
            json_schema_extra={"minimum": MIN_WITHIN_S, "maximum": MAX_WITHIN_S},
        ),
    ] = None

    def request(self) -> JobRequest:
        """Converts to the services' request. Raises InvalidRequest for invalid base64."""
        files = {
            name: inputs.decode(text, param=name)
            for name, text in (("image", self.image), ("mask", self.mask))
            if text is not None
        }
        return JobRequest(**self.model_dump(exclude={"image", "mask"}), **files)


class Image(ResponseModel):
    """One stored picture."""

    id: str
    object: Literal["image"] = "image"
    job: str = Field(description="The id of the job that made it.")
    url: str = Field(description=f"The PNG with its parameters embedded. {LINK}")
    thumbnail_url: str | None = Field(description=f"A WebP of at most 300 px; null until it is made. {LINK}")
    width: int
    height: int
    seed: int
    model: str
    prompt: str
    favorite: bool
    favourite: bool = Field(
        json_schema_extra={"deprecated": True},
        description="The same as `favorite`, under its name before 0.2.",
    )
    rating: int = Field(description="1 to 5, 0 when it was not rated.")
    tags: list[str] = Field(description="At most 20, in lower case, sorted.")
    size_bytes: int
    sha256: str = Field(description="Of the PNG's bytes.")
    created_at: datetime


class JobInput(ResponseModel):
    """The request with every value resolved: sent again with the same seed and files, it makes the same pictures."""

    task: Task

    prompt: str
    negative_prompt: str
    width: int
    height: int
    steps: int
    guidance: float
    scheduler: str
    quality: str
    seed: int
    count: int
    strength: float | None = Field(description="Null for text-to-image.")
    image_sha256: str | None = Field(
        description="Of the picture as it was drawn over: a PNG of nothing but pixels."
    )
    mask_sha256: str | None = Field(description="Of the mask as it was used, likewise.")


class WithheldImage(ResponseModel):
    """A picture that the output check withheld. It costs nothing."""

    n: int = Field(description="Its number in the job, from 0.")
    seed: int
    reason: str = Field(description="`nsfw`: taken for sexual content.")


class JobHint(ResponseModel):
    """The prompt is far from everything the model knows."""

    nearest: list[str] = Field(description="What it can draw that comes nearest, nearest first.")
    likeness: float
    message: str = Field(description="The same in words, plain text.")


class JobError(ResponseModel):
    """Why there are no pictures."""

    code: str
    message: str


class JobMetrics(ResponseModel):
    """Progress, time, and cost. Null while unknown."""

    step: int | None = Field(default=None, description="Denoising step, while processing.")
    steps: int | None = Field(default=None, description="Denoising steps in all, while processing.")
    queue_position: int | None = Field(
        default=None,
        description="1 is next; rounded beyond 100; null once the job was handed to the model.",
    )
    eta_s: float | None = Field(default=None, description="Seconds left.")
    estimated_run_s: float
    estimated_cold_start_s: float = Field(description="Seconds of waking the model; 0 when it is awake.")
    estimated_cost_usd: float = Field(description="The estimated charge: model time only.")
    estimated_wake_usd: float = Field(
        description="This job's share of what waking the model costs the studio; nobody is charged for it."
    )
    reserved_usd: float = Field(description="The most that will be charged.")
    cost_usd: float | None = Field(default=None, description="What was charged; 0 unless it succeeded.")
    gpu_s: float | None = Field(default=None, description="Seconds of model time that are charged.")
    total_s: float | None = Field(default=None, description="Seconds in the model's container.")
    batch_pictures: int | None = Field(
        default=None, description="Pictures drawn in one pass with these, these included."
    )


class JobUrls(ResponseModel):
    """URLs of this job."""

    get: str
    cancel: str
    run: str = Field(description="For a job that waits for its model: to have it run now.")


class Job(ResponseModel):
    """A job and its result. `succeeded`, `failed`, `canceled`, and `expired` are final."""

    id: str
    object: Literal["job"] = "job"
    model: str
    model_revision: str
    status: JobStatus
    input: JobInput
    output: list[Image] | None = Field(
        description="The pictures once it succeeded, without those deleted since; null before."
    )
    withheld: list[WithheldImage] = Field(
        description="Pictures that were drawn and are kept back. When all are, the job has failed."
    )
    hint: JobHint | None
    error: JobError | None
    metrics: JobMetrics
    run_by: datetime | None = Field(
        description="Sent with `when`: `warm` to a sleeping model: it runs when the model is awake, then at the latest."
    )
    final_of: str | None = Field(description="The id of the job whose drafts these are in full quality.")
    draft: bool = Field(description="Drawn as a draft, on the page.")
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    urls: JobUrls


class PageResponse(ResponseModel):
    """A page of a newest-first list."""

    object: Literal["list"] = "list"
    has_more: bool
    next: str | None = Field(description="Pass it as `after` for the following page; null at the end.")


class JobList(PageResponse):
    """A page of the caller's jobs, newest first."""

    data: list[Job]


class ImageList(PageResponse):
    """A page of the caller's images, newest first."""

    data: list[Image]


class Size(ResponseModel):
    """A preset size in pixels."""

    label: str
    width: int
    height: int


class ModelDefaults(ResponseModel):
    """The defaults of omitted fields."""

    width: int
    height: int
    steps: int
    guidance: float
    scheduler: str
    quality: str


class Model(ResponseModel):
    """An available model: its abilities, its price, and whether it is awake."""

    id: str
    object: Literal["model"] = "model"
    name: str
    description: str
    license: str
    revision: str
    state: EndpointState
    instances: int
    grid_px: int
    min_px: int
    max_px: int
    sizes: list[Size]
    min_steps: int
    max_steps: int
    min_guidance: float
    max_guidance: float
    schedulers: list[str]
    qualities: dict[str, int] = Field(description="Name to steps.")
    negative_prompt: bool = Field(description="Whether it takes one.")
    image_to_image: bool = Field(description="Whether it draws over an `image`.")
    inpainting: bool = Field(description="Whether it takes a `mask`.")
    max_count: int
    max_prompt_characters: int = MAX_PROMPT_CHARACTERS
    defaults: ModelDefaults
    usd_per_hour: float


class ModelList(ResponseModel):
    """All available models, the default first."""

    object: Literal["list"] = "list"
    data: list[Model]


class User(ResponseModel):
    """The user of the credential."""

    id: str
    object: Literal["user"] = "user"
    email: str
    name: str
    role: Role


class Usage(ResponseModel):
    """Usage against the limits: images per UTC day, dollars per UTC month, including reservations of open jobs."""

    object: Literal["usage"] = "usage"
    images_today: int
    daily_images: int
    spent_month_usd: float
    monthly_usd: float
    open_jobs: int
    max_open_jobs: int


class PageQuery(BaseModel):
    """The position in a list."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=MAX_PAGE, description="Entries a page.")] = 20
    after: Annotated[
        str | None, Field(min_length=1, max_length=2048, description="The `next` of the page before.")
    ] = None


class JobsQuery(PageQuery):
    """Which jobs to list."""

    status: Annotated[list[JobStatus], Field(description="Only these; may be repeated.")] = []


class ImagesQuery(PageQuery):
    """Which images to list."""

    job: Annotated[str | None, Field(max_length=100, description="Only this job's.")] = None
    favorites: Annotated[bool, Field(description="Only starred ones.")] = False
    favourites: Annotated[
        bool,
        Field(
            json_schema_extra={"deprecated": True},
            description="The same as `favorites`, under its name before 0.2.",
        ),
    ] = False
