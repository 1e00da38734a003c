"""Fits a recipe to one of the studio's models: the values to request, and remarks on every change.

Values outside a card's limits become the nearest possible one. A size outside them becomes the preset of the same
shape, else it is scaled as a whole, because limiting each side separately would change the shape. Values without a
nearest one (an unknown scheduler or model, a seed that is too large) are dropped. Each change gets a remark.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from services.catalogue.cards import MAX_PROMPT_CHARACTERS, MAX_SEED, ModelCard
from services.catalogue.sizes import on_grid
from services.recipes.recipe import Recipe, Unread
from services.sentences import sentence, subject

# Two shapes are equal when their ratios differ by less than rounding to a grid can cause.
_SAME_SHAPE = 0.02


class Fitted(NamedTuple):
    """The values to request from `card`; None where the recipe lacks a value or the card does not support it.

    `remarks` are plain sentences that may contain texts from the file.
    """

    card: ModelCard
    prompt: str | None
    negative_prompt: str | None
    size: tuple[int, int] | None
    steps: int | None
    guidance: float | None
    scheduler: str | None
    seed: int | None
    remarks: tuple[str, ...]


def fit(recipe: Recipe, chosen: ModelCard, offered: Sequence[ModelCard]) -> Fitted:
    """Return the recipe fitted to the model it names if that is offered, else to the chosen one."""
    remarks: list[str] = []
    card = _card(recipe, chosen, offered, remarks)
    fitted = Fitted(
        card=card,
        prompt=recipe.prompt or None,
        negative_prompt=_negative(recipe, card, remarks),
        size=_size(recipe, card, remarks),
        steps=_steps(recipe, card, remarks),
        guidance=_guidance(recipe, card, remarks),
        scheduler=_scheduler(recipe, card, remarks),
        seed=_seed(recipe, remarks),
        remarks=(),
    )
    for param, text in (("prompt", recipe.prompt), ("negative_prompt", fitted.negative_prompt)):
        if text and len(text) > MAX_PROMPT_CHARACTERS:
            remarks.append(
                sentence(
                    "{what} has {count} characters; shorten it to {most}.",
                    what=subject(param),
                    count=len(text),
                    most=MAX_PROMPT_CHARACTERS,
                )
            )
    remarks.extend(_unread(missing) for missing in recipe.unread)
    if recipe.drawn_over:
        remarks.append(sentence("It was drawn over another picture, which this file does not hold."))
    return fitted._replace(remarks=tuple(remarks))


_UNREAD = {
    "prompt": sentence("The prompt"),
    "negative_prompt": sentence("The negative prompt"),
    "seed": sentence("The seed"),
    "steps": sentence("The number of steps"),
    "guidance": sentence("The guidance"),
    "sampler": sentence("The scheduler"),
    "size": sentence("The size"),
    "model": sentence("The model"),
}


def _unread(missing: Unread) -> str:
    what = _UNREAD[missing.field]
    if missing.partly:
        return sentence(
            "{what} is what went into “{part}”; the file does not hold what was added there.",
            what=what,
            part=missing.part,
        )
    return sentence(
        "{what} is left out: it came from “{part}”, and the file does not hold its result.",
        what=what,
        part=missing.part,
    )


def _card(recipe: Recipe, chosen: ModelCard, offered: Sequence[ModelCard], remarks: list[str]) -> ModelCard:
    if recipe.model is None:
        return chosen
    wanted = recipe.model.lower()
    for card in offered:
        if wanted in (card.id.lower(), card.name.lower(), card.revision.lower()):
            if card.id != chosen.id:
                remarks.append(
                    sentence(
                        "It was made with {model}, not with {chosen}: all of it takes that model.",
                        model=card.name,
                        chosen=chosen.name,
                    )
                )
            return card
    remarks.append(
        sentence(
            "The model {model} is not offered here; {chosen} stays chosen.",
            model=recipe.model,
            chosen=chosen.name,
        )
    )
    return chosen


def _negative(recipe: Recipe, card: ModelCard, remarks: list[str]) -> str | None:
    if recipe.negative_prompt and not card.negative_prompt:
        remarks.append(sentence("{model} takes no negative prompt; it is left out.", model=card.name))
        return None
    return recipe.negative_prompt


def _size(recipe: Recipe, card: ModelCard, remarks: list[str]) -> tuple[int, int] | None:
    if recipe.width is None or recipe.height is None:
        return None
    width, height = recipe.width, recipe.height
    size = nearest_size(width, height, card)
    if size != (width, height):
        remarks.append(
            sentence(
                "{model} draws {least} to {most} pixels a side in steps of {step}: {width} x {height} becomes "
                "{new_width} x {new_height}.",
                model=card.name,
                least=card.min_px,
                most=card.max_px,
                step=card.grid_px,
                width=width,
                height=height,
                new_width=size[0],
                new_height=size[1],
            )
        )
    return size


def nearest_size(width: int, height: int, card: ModelCard) -> tuple[int, int]:
    """Return the size, in pixels, to request from `card` for a picture of `width` x `height`."""
    if all(card.min_px <= side <= card.max_px and side % card.grid_px == 0 for side in (width, height)):
        return width, height
    for size in card.sizes:
        if abs(width / height / (size.width / size.height) - 1) < _SAME_SHAPE:
            return size.width, size.height
    factor = min(1.0, card.max_px / max(width, height))
    factor = max(factor, min(card.min_px / min(width, height), card.max_px / max(width, height)))
    return _on_grid(width * factor, card), _on_grid(height * factor, card)


def _on_grid(side: float, card: ModelCard) -> int:
    return on_grid(side, min_px=card.min_px, max_px=card.max_px, grid_px=card.grid_px)


def _steps(recipe: Recipe, card: ModelCard, remarks: list[str]) -> int | None:
    if recipe.steps is None:
        return None
    steps = min(max(recipe.steps, card.min_steps), card.max_steps)
    if steps != recipe.steps:
        remarks.append(
            sentence(
                "{model} takes {least} to {most} steps: {asked} becomes {steps}.",
                model=card.name,
                least=card.min_steps,
                most=card.max_steps,
                asked=recipe.steps,
                steps=steps,
            )
        )
    return steps


def _guidance(recipe: Recipe, card: ModelCard, remarks: list[str]) -> float | None:
    if recipe.guidance is None:
        return None
    guidance = min(max(recipe.guidance, card.min_guidance), card.max_guidance)
    if guidance != recipe.guidance:
        remarks.append(
            sentence(
                "{model} takes a guidance of {least:g} to {most:g}: {asked:g} becomes {guidance:g}.",
                model=card.name,
                least=card.min_guidance,
                most=card.max_guidance,
                asked=recipe.guidance,
                guidance=guidance,
            )
        )
    return guidance


def _scheduler(recipe: Recipe, card: ModelCard, remarks: list[str]) -> str | None:
    if recipe.scheduler in card.schedulers:
        return recipe.scheduler
    if recipe.sampler is not None:
        remarks.append(
            sentence(
                "{model} has no scheduler {scheduler}; the chosen one stays.",
                model=card.name,
                scheduler=recipe.sampler,
            )
        )
    return None


def _seed(recipe: Recipe, remarks: list[str]) -> int | None:
    if recipe.seed is not None and recipe.seed > MAX_SEED:
        remarks.append(
            sentence(
                "The seed {seed} is larger than {most}, the largest here; it is left out.",
                seed=recipe.seed,
                most=MAX_SEED,
            )
        )
        return None
    return recipe.seed
