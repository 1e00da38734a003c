"""The offered models' cards, and the validation of requests against them."""

from __future__ import annotations

import secrets
import tomllib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, NoReturn

from pydantic import Field

from services.catalogue.sizes import Size, preset_sizes
from services.errors import InvalidRequest
from services.records import JobRequest, JobSpec, Record
from services.sentences import sentence, subject

MAX_PROMPT_CHARACTERS = 2000
# The default strength: enough to change the picture, little enough to recognize it.
DEFAULT_STRENGTH = 0.6
MIN_STRENGTH = 0.01
MAX_SEED = 2**32 - 1
CARDS_FILE = Path(__file__).with_name("cards.toml")


class ModelCard(Record):
    """A model's abilities and costs; times in seconds, sizes in pixels, prices in US dollars.

    docs/models.md explains each field.
    """

    id: str
    name: str
    description: str
    license: str
    revision: str
    grid_px: Annotated[int, Field(ge=1)]
    min_px: int
    max_px: int
    default_width: int
    default_height: int
    size_hint: str = ""
    min_steps: int
    max_steps: int
    default_steps: int
    min_guidance: float
    max_guidance: float
    default_guidance: float
    schedulers: tuple[str, ...]
    default_scheduler: str
    qualities: dict[str, int]
    default_quality: str
    negative_prompt: bool
    image_to_image: bool
    inpainting: bool
    max_count: int
    usd_per_hour: Annotated[float, Field(ge=0)]
    step_s_per_mpx: float
    wake_s: float

    @cached_property
    def sizes(self) -> tuple[Size, ...]:
        """Returns the usual shapes that the model can draw, its native size first."""
        return preset_sizes(
            (self.default_width, self.default_height),
            min_px=self.min_px,
            max_px=self.max_px,
            grid_px=self.grid_px,
        )


class Catalogue:
    """The offered models in the order of the cards file; the first is the default."""

    def __init__(self, cards: Mapping[str, ModelCard]) -> None:
        if not cards:
            raise ValueError("the catalogue offers no model")
        self._cards = dict(cards)

    @classmethod
    def load(cls, offered: frozenset[str], path: Path = CARDS_FILE) -> Catalogue:
        """Reads the cards and keeps the offered ones. Raises ValueError naming an offered id without a card."""
        try:
            tables = tomllib.loads(path.read_text(encoding="utf-8"))
        except RecursionError:
            raise ValueError(f"{path.name} is nested too deeply") from None
        if unknown := sorted(offered - tables.keys()):
            raise ValueError(f"no card in {path.name} for model {', '.join(unknown)}")
        return cls({key: ModelCard(id=key, **table) for key, table in tables.items() if key in offered})

    def models(self) -> tuple[ModelCard, ...]:
        """All offered models, the default first."""
        return tuple(self._cards.values())

    def card(self, model_id: str) -> ModelCard:
        """Returns the card of an offered model. Raises InvalidRequest naming the offered ones."""
        try:
            return self._cards[model_id]
        except KeyError:
            raise InvalidRequest(
                sentence(
                    "There is no model of that name here. Choose one of: {models}.",
                    models=", ".join(self._cards),
                ),
                param="model",
                code="unknown_model",
            ) from None

    def resolve(self, request: JobRequest) -> JobSpec:
        """Fills in the card's defaults, draws a seed if there is none, and validates every value.

        Does not look at pictures; the caller adds their hashes. Raises InvalidRequest for the first value out of
        bounds, saying what to change.
        """
        card = self.card(request.model if request.model is not None else next(iter(self._cards)))
        _check_text(request.prompt, param="prompt", required=True)
        _check_text(request.negative_prompt, param="negative_prompt", required=False)
        if request.negative_prompt.strip() and not card.negative_prompt:
            _refuse(
                "negative_prompt",
                sentence("{model} takes no negative prompt; leave it empty.", model=card.name),
            )
        width = card.default_width if request.width is None else request.width
        height = card.default_height if request.height is None else request.height
        for param, value in (("width", width), ("height", height)):
            if not card.min_px <= value <= card.max_px or value % card.grid_px:
                _refuse(
                    param,
                    sentence(
                        "{what} is {value} pixels; {model} takes {least} to {most} in steps of {step}.",
                        what=subject(param),
                        value=value,
                        model=card.name,
                        least=card.min_px,
                        most=card.max_px,
                        step=card.grid_px,
                    ),
                )
        quality = card.default_quality if request.quality is None else request.quality
        if quality not in card.qualities:
            _refuse(
                "quality", sentence("The quality must be one of: {names}.", names=", ".join(card.qualities))
            )
        steps = card.qualities[quality] if request.steps is None else request.steps
        if not card.min_steps <= steps <= card.max_steps:
            _refuse(
                "steps",
                sentence(
                    "The steps are {steps}; {model} takes {least} to {most}.",
                    steps=steps,
                    model=card.name,
                    least=card.min_steps,
                    most=card.max_steps,
                ),
            )
        guidance = card.default_guidance if request.guidance is None else request.guidance
        if not card.min_guidance <= guidance <= card.max_guidance:
            _refuse(
                "guidance",
                sentence(
                    "The guidance is {guidance:g}; {model} takes {least:g} to {most:g}.",
                    guidance=guidance,
                    model=card.name,
                    least=card.min_guidance,
                    most=card.max_guidance,
                ),
            )
        scheduler = card.default_scheduler if request.scheduler is None else request.scheduler
        if scheduler not in card.schedulers:
            _refuse(
                "scheduler",
                sentence("The scheduler must be one of: {names}.", names=", ".join(card.schedulers)),
            )
        if not 1 <= request.count <= card.max_count:
            _refuse(
                "count",
                sentence(
                    "The count is {count}; ask for 1 to {most} pictures.",
                    count=request.count,
                    most=card.max_count,
                ),
            )
        seed = secrets.randbelow(MAX_SEED + 1) if request.seed is None else request.seed
        if not 0 <= seed <= MAX_SEED:
            _refuse(
                "seed",
                sentence(
                    "The seed is {seed}; it must be 0 to {most}, or empty for a random one.",
                    seed=seed,
                    most=MAX_SEED,
                ),
            )
        strength = _strength(request, card)
        return JobSpec(
            prompt=request.prompt,
            negative_prompt=request.negative_prompt,
            model=card.id,
            model_revision=card.revision,
            width=width,
            height=height,
            steps=steps,
            guidance=guidance,
            scheduler=scheduler,
            quality=quality,
            seed=seed,
            count=request.count,
            strength=strength,
        )


def _strength(request: JobRequest, card: ModelCard) -> float | None:
    """Returns how much of the source picture is redrawn; None without a source picture."""
    if not request.drawn_over:
        for param, value in (("strength", request.strength), ("mask", request.mask)):
            if value is not None:
                _refuse(
                    param,
                    sentence("{what} goes with an image; send one, or leave it out.", what=subject(param)),
                )
        return None
    if not card.image_to_image:
        _refuse("image", sentence("{model} draws over no pictures; leave the image out.", model=card.name))
    masked = request.mask is not None or (request.source is not None and request.source.mask is not None)
    if masked and not card.inpainting:
        _refuse("mask", sentence("{model} takes no mask; leave it out.", model=card.name))
    strength = DEFAULT_STRENGTH if request.strength is None else request.strength
    if not MIN_STRENGTH <= strength <= 1:
        _refuse(
            "strength",
            sentence(
                "The strength is {strength:g}; it must be {least:g} to 1.",
                strength=strength,
                least=MIN_STRENGTH,
            ),
        )
    return strength


def _check_text(text: str, *, param: str, required: bool) -> None:
    what = subject(param)
    if required and not text.strip():
        _refuse(param, sentence("The prompt is empty. Describe the picture you want."))
    if len(text) > MAX_PROMPT_CHARACTERS:
        _refuse(
            param,
            sentence(
                "{what} has {count} characters; at most {most} are possible. Shorten it.",
                what=what,
                count=len(text),
                most=MAX_PROMPT_CHARACTERS,
            ),
        )
    for position, character in enumerate(text):
        if (ord(character) < 32 and character not in "\n\t") or 0x7F <= ord(character) <= 0x9F:
            _refuse(
                param,
                sentence(
                    "{what} has a control character (U+{code:04X}) at position {position}. Remove it.",
                    what=what,
                    code=ord(character),
                    position=position + 1,
                ),
            )
        if 0xD800 <= ord(character) <= 0xDFFF:
            _refuse(
                param,
                sentence(
                    "{what} has half a character (a lone surrogate) at position {position}. Remove it.",
                    what=what,
                    position=position + 1,
                ),
            )


def _refuse(param: str, message: str) -> NoReturn:
    raise InvalidRequest(message, param=param)
